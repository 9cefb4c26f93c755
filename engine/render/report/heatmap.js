"use strict";
// Heatmaps: unpacked, read at places of the photo, and coloured.

const settings = JSON.parse(document.getElementById("settings").textContent);
const TYPES = { Uint8Array, Uint16Array, Int16Array };
const bytesOf = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
const palette = { unsigned: bytesOf(settings.palette.unsigned), signed: bytesOf(settings.palette.signed) };

/** The data of an image; read anew each time, so that only what is shown takes memory. */
function imageData(index) {
  return JSON.parse(document.getElementById(`image-${index}`).textContent);
}

/** Values [rows, columns] read linearly at rows ys and columns xs, given in cells whose centres are at 0.5, 1.5 ... */
function readAt(values, [rows, columns], ys, xs) {
  const between = (places, size) =>
    places.map((place) => {
      const at = Math.min(Math.max(place - 0.5, 0), size - 1);
      const low = Math.min(Math.floor(at), Math.max(size - 2, 0));
      return { low, high: Math.min(low + 1, size - 1), share: at - low };
    });
  const [down, across] = [between(ys, rows), between(xs, columns)];
  const result = new Float32Array(down.length * across.length);
  let at = 0;
  for (const y of down) {
    const [upper, lower] = [y.low * columns, y.high * columns];
    for (const x of across) {
      const top = values[upper + x.low] * (1 - x.share) + values[upper + x.high] * x.share;
      const bottom = values[lower + x.low] * (1 - x.share) + values[lower + x.high] * x.share;
      result[at++] = top * (1 - y.share) + bottom * y.share;
    }
  }
  return result;
}

/** The centres of `count` cells that divide a length. */
const centres = (count, length) => Array.from({ length: count }, (_, i) => ((i + 0.5) * length) / count);

/** One map of an image. */
class Heatmap {
  /** Unpacks a map and enlarges it to the model's input, as the explained model does. */
  static async of(image, map) {
    const stream = new Blob([bytesOf(map.data)]).stream().pipeThrough(new DecompressionStream("deflate"));
    const codes = new TYPES[map.type](await new Response(stream).arrayBuffer());
    const stored = Float32Array.from(codes, (code) => code * map.step);
    const [ys, xs] = [0, 1].map((axis) => centres(image.input[axis], map.shape[axis]));
    return new Heatmap(image, map, readAt(stored, map.shape, ys, xs));
  }

  constructor(image, map, values) {
    Object.assign(this, { image, map, values });
    this.signed = map.type.startsWith("Int");
    this.picture = null; // of a map in the photo's colours, which is stored as a picture
  }

  /** The heatmap at rows and columns of the photo as it was read, zero where the model did not see it. */
  at(ys, xs) {
    const { window: [left, top, width, height], input: [rows, columns] } = this.image;
    const values = readAt(
      this.values,
      this.image.input,
      ys.map((y) => ((y - top) / height) * rows),
      xs.map((x) => ((x - left) / width) * columns),
    );
    ys.forEach((y, i) => {
      xs.forEach((x, j) => {
        if (y < top || y >= top + height || x < left || x >= left + width) values[i * xs.length + j] = 0;
      });
    });
    return values;
  }

  /** The value of one pixel of the photo as it was read. */
  valueAt(y, x) {
    return this.at([y + 0.5], [x + 0.5])[0];
  }

  /** Draws the map, at the size of the shown photo or a smaller one: what is below the threshold is left clear. */
  draw(canvas, threshold, scale = 1) {
    const [height, width] = this.image.photoSize.map((side) => Math.ceil(side * scale));
    const [rows, columns] = this.image.size;
    this.shown ??= this.at(centres(height, rows), centres(width, columns));
    [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext("2d");
    context.putImageData(new ImageData(this.coloured(threshold), width, height), 0, 0);
    if (this.picture) {
      context.globalCompositeOperation = "source-in";
      context.drawImage(this.picture, 0, 0, width, height);
    }
  }

  /** RGBA of each value. Over a photo the opacity grows with the magnitude m, m (2 - m); a map of pixels is opaque. */
  coloured(threshold) {
    const colours = this.signed ? palette.signed : palette.unsigned;
    const zero = this.signed ? 255 : 0;
    const over = this.map.look === "overlay";
    const peak = this.map.peak ?? 1;
    const pixels = new Uint8ClampedArray(this.shown.length * 4);
    this.shown.forEach((value, i) => {
      const magnitude = Math.min(Math.abs(value) / peak, 1);
      if (Math.abs(value) < threshold) return;
      // A signed map over a photo takes its two end colours only: white at low heat would put a halo on dark photos.
      const step = over && this.signed ? 255 : Math.round(magnitude * 255);
      const from = 3 * (zero + (value < 0 ? -step : step));
      pixels.set(colours.subarray(from, from + 3), 4 * i);
      pixels[4 * i + 3] = over ? 255 * magnitude * (2 - magnitude) : 255;
    });
    return pixels;
  }

  /** Where the largest magnitude is: [y, x] of the photo as it was read. */
  peakPlace() {
    const [height, width] = this.image.photoSize;
    let best = 0;
    this.shown.forEach((value, i) => {
      if (Math.abs(value) > Math.abs(this.shown[best])) best = i;
    });
    const [rows, columns] = this.image.size;
    return [((Math.floor(best / width) + 0.5) / height) * rows, (((best % width) + 0.5) / width) * columns].map(Math.floor);
  }
}

/** The colours as a CSS gradient. */
function gradient(signed) {
  const colours = signed ? palette.signed : palette.unsigned;
  const last = colours.length / 3 - 1;
  const stops = centres(17, last).map((at) => Array.from(colours.subarray(3 * Math.round(at), 3 * Math.round(at) + 3)));
  return `linear-gradient(to right, ${stops.map((colour) => `rgb(${colour})`).join(", ")})`;
}

/** A decoded picture. */
async function pictureOf(url) {
  const picture = new Image();
  picture.src = url;
  await picture.decode();
  return picture;
}

/** A map made ready to be drawn. */
async function heatmapOf(image, map) {
  const heatmap = await Heatmap.of(image, map);
  if (map.picture) heatmap.picture = await pictureOf(map.picture);
  return heatmap;
}
