// Converts an image to a model's input, and a heatmap back to the image: engine/images/preprocess.py, in JavaScript.
// An image is {data, height, width}: RGB bytes, three interleaved channels.

import { rint, toHalf } from "./numbers.js";
import { interpolate, shrink, taps } from "./resize.js";

const CHOICES = {
  fit: ["squash", "crop"],
  channels: ["RGB", "BGR", "GRAY"],
  layout: ["NCHW", "NHWC"],
  dtype: ["float32", "float16", "float64", "uint8"],
};
// Where the file records none: pixels as they are, and torchvision's for its ImageNet weights, as the Python engine.
const RAW = { size: null, fit: "squash", resize: null, channels: "RGB", scale: 1, mean: [0], std: [1] };
const IMAGENET = {
  ...RAW,
  ...{ size: [224, 224], fit: "crop", resize: 256, scale: 1 / 255 },
  ...{ mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] },
};

/**
 * The preprocessing of a model's record, or what is assumed without one, completed by what the input itself takes.
 *
 * @param {object | undefined} recorded `Preprocess.to_json` of the Python package
 * @param {string} layout NCHW or NHWC
 * @param {string} dtype the input's type
 * @param {(number | string)[]} shape of the input; open sizes are names
 * @throws {Error} a record that is damaged or contradicts the input
 */
export function fitToInput(recorded, layout, dtype, shape) {
  const [channels, height, width] = [..."CHW"].map((axis) => shape[layout.indexOf(axis)]);
  const isFixed = typeof height === "number" && typeof width === "number" && height > 0 && width > 0;
  const assumed = channels === 1 ? { ...RAW, channels: "GRAY", scale: 1 / 255 } : IMAGENET;
  const wanted = { ...(recorded ?? (dtype === "uint8" ? RAW : assumed)), layout, dtype };
  check(wanted);
  const count = wanted.channels === "GRAY" ? 1 : 3;
  if (typeof channels === "number" && channels > 0 && channels !== count) {
    throw new Error(`the model's input has ${channels} channels, its preprocessing makes ${count} (${wanted.channels})`);
  }
  if (!isFixed) return wanted;
  const { size, resize } = wanted;
  const differs = size !== null && (size[0] !== height || size[1] !== width);
  if (differs && recorded) {
    throw new Error(`the model takes ${height}x${width} images, its preprocessing makes ${size[0]}x${size[1]}`);
  }
  const side = differs && resize !== null ? rint((resize * Math.max(height, width)) / Math.max(...size)) : resize;
  return { ...wanted, size: [height, width], resize: side };
}

function check(wanted) {
  const demand = (right, field) => {
    if (!right) throw new Error(`preprocessing: ${field} is ${JSON.stringify(wanted[field])}; write the model again`);
  };
  const numbers = (list, counts) => Array.isArray(list) && counts.includes(list.length) && list.every(Number.isFinite);
  const each = wanted.channels === "GRAY" ? 1 : 3;
  for (const [field, known] of Object.entries(CHOICES)) demand(known.includes(wanted[field]), field);
  const { size, fit, resize, dtype, scale, mean, std } = wanted;
  demand(size === null || (numbers(size, [2]) && size.every((side) => Number.isInteger(side) && side > 0)), "size");
  demand(size !== null || fit === "squash", "size");
  demand(resize === null || (fit === "crop" && Number.isInteger(resize) && resize >= Math.max(...size)), "resize");
  demand(Number.isFinite(scale) && scale !== 0 && (dtype !== "uint8" || scale === 1), "scale");
  demand(numbers(mean, [1, each]) && (dtype !== "uint8" || mean.every((value) => value === 0)), "mean");
  demand(numbers(std, [1, each]) && !std.includes(0) && (dtype !== "uint8" || std.every((one) => one === 1)), "std");
}

/** One sample: {data, dims}, dims [C, h, w] or [h, w, C]; float16 as bits in a Uint16Array. */
export function preprocess(wanted, image) {
  const { rows, columns, top, left, h, w } = geometry(wanted, image.height, image.width);
  const small = shrink(image, Math.min(rows, image.height), Math.min(columns, image.width));
  const down = taps(small.height, rows, { first: top, count: h });
  const across = taps(small.width, columns, { first: left, count: w });
  // Rounds halves to even, as numpy.rint does.
  const pixels = Uint8ClampedArray.from(interpolate(small.data, small.width, 3, down, across));
  const planes = { RGB: [0, 1, 2], BGR: [2, 1, 0], GRAY: [0] }[wanted.channels];
  const source = wanted.channels === "GRAY" ? luma(pixels) : pixels;
  const stride = planes.length;
  const data = new { float32: Float32Array, float16: Uint16Array, float64: Float64Array, uint8: Uint8Array }[
    wanted.dtype
  ](h * w * stride);
  const value = normalisation(wanted);
  for (let pixel = 0; pixel < h * w; pixel++) {
    for (let c = 0; c < stride; c++) {
      const at = wanted.layout === "NCHW" ? c * h * w + pixel : pixel * stride + c;
      data[at] = value(source[pixel * stride + planes[c]], c);
    }
  }
  return { data, dims: wanted.layout === "NCHW" ? [stride, h, w] : [h, w, stride] };
}

/** (pixel * scale - mean) / std in the precision of the Python engine. */
function normalisation({ dtype, scale, mean, std }) {
  if (dtype === "uint8") return (pixel) => pixel;
  const real = dtype === "float64" ? (number) => number : Math.fround;
  const of = (list, channel) => real(list[list.length === 1 ? 0 : channel]);
  const value = (pixel, c) => real(real(real(pixel * real(scale)) - of(mean, c)) / of(std, c));
  return dtype === "float16" ? (pixel, c) => toHalf(value(pixel, c)) : value;
}

/** The luma of ITU-R BT.601 in OpenCV's 15-bit fixed point. */
function luma(pixels) {
  const grey = new Uint8Array(pixels.length / 3);
  for (let i = 0; i < grey.length; i++) {
    grey[i] = (9798 * pixels[3 * i] + 19235 * pixels[3 * i + 1] + 3735 * pixels[3 * i + 2] + 16384) >> 15;
  }
  return grey;
}

/**
 * Map a heatmap {data, height, width} at the model's input size to an image's size.
 *
 * Bilinear with half-pixel centres; zero where a pixel's centre lies outside the part that the model saw.
 */
export function toSource(wanted, heatmap, height, width) {
  const { rows, columns, top, left, h, w } = geometry(wanted, height, width);
  if (heatmap.height !== h || heatmap.width !== w) {
    throw new Error(`a heatmap of ${heatmap.height}x${heatmap.width} is not of the model's input size ${h}x${w}`);
  }
  const down = taps(rows, height, { start: top, length: h });
  const across = taps(columns, width, { start: left, length: w });
  const data = interpolate(heatmap.data, w, 1, down, across);
  const [insideY, insideX] = [inside(height, rows, top, h), inside(width, columns, left, w)];
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) if (!insideY[y] || !insideX[x]) data[at] = 0;
  }
  return { data, height, width };
}

function inside(side, resized, start, length) {
  return Array.from({ length: side }, (_, i) => {
    const centre = (2 * i + 1) * resized;
    return centre >= 2 * start * side && centre < 2 * (start + length) * side;
  });
}

/** Rows and columns after resizing, and top, left, height and width of what is then cut out. */
function geometry({ size, fit, resize }, height, width) {
  const [h, w] = size ?? [height, width];
  if (fit === "squash") return { rows: h, columns: w, top: 0, left: 0, h, w };
  const shorter = Math.min(height, width);
  const rows = resize === null ? Math.max(h, rint((height * w) / width)) : Math.trunc((resize * height) / shorter);
  const columns = resize === null ? Math.max(w, rint((width * h) / height)) : Math.trunc((resize * width) / shorter);
  return { rows, columns, top: rint((rows - h) / 2), left: rint((columns - w) / 2), h, w };
}
