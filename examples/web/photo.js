// Photos that are chosen, dropped or pasted, as pixels.

// As the Python engine's read_image.
const MAX_PIXELS = 100_000_000;

/**
 * Read an image file: upright, transparency laid over white, colour profiles not applied.
 *
 * @param {Blob} file
 * @param {string} name of it, for messages
 * @returns {Promise<{canvas: HTMLCanvasElement, data: Uint8Array, height: number, width: number, name: string}>} RGB
 * @throws {Error} a file that the browser cannot read as an image
 */
export async function readPhoto(file, name) {
  const options = { imageOrientation: "from-image", colorSpaceConversion: "none" };
  const bitmap = await createImageBitmap(file, options).catch(() => {
    throw new Error(`${name} is no image that this browser reads, nor an .onnx model; choose a JPEG, PNG or WebP file`);
  });
  const { height, width } = bitmap;
  if (height * width > MAX_PIXELS) throw new Error(`${name} has ${width} x ${height} pixels, too many; shrink it first`);
  const canvas = Object.assign(document.createElement("canvas"), { height, width });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return { canvas, data: withoutAlpha(context.getImageData(0, 0, width, height).data), height, width, name };
}

function withoutAlpha(rgba) {
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4) {
    for (let c = 0; c < 3; c++) rgb[to++] = rgba[from + c];
  }
  return rgb;
}

/** Offer RGB pixels as a PNG file to be saved. */
export function savePicture(pixels, height, width, name) {
  const canvas = Object.assign(document.createElement("canvas"), { height, width });
  const context = canvas.getContext("2d");
  const rgba = context.createImageData(width, height);
  for (let from = 0, to = 0; from < pixels.length; from += 3, to += 4) {
    for (let c = 0; c < 3; c++) rgba.data[to + c] = pixels[from + c];
    rgba.data[to + 3] = 255;
  }
  context.putImageData(rgba, 0, 0);
  canvas.toBlob((blob) => {
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
    link.click();
    URL.revokeObjectURL(link.href);
  });
}
