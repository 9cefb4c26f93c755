// Pictures of heatmaps, in the colours of engine/render.py: inferno, or from blue to red for signed maps.

import { INFERNO } from "./inferno.js";

// The ends of RdBu (ColorBrewer, Harrower and Brewer 2003), which colour-blind readers can tell apart.
export const NEGATIVE = [33, 102, 172];
export const POSITIVE = [178, 24, 43];

/** Whether a heatmap has negative values. */
export const isSigned = (heatmap) => heatmap.data.some((value) => value < 0);

/**
 * A heatmap as RGBA pixels to lay over its image.
 *
 * The opacity grows with the magnitude m of the heat, m * (2 - m): see `overlay` in engine/render.py.
 *
 * @param {{data: Float32Array, height: number, width: number}} heatmap in [0, 1], or signed in [-1, 1]
 * @returns {Uint8ClampedArray} four bytes a pixel
 */
export function colourLayer(heatmap) {
  const colours = palette(heatmap);
  const pixels = new Uint8ClampedArray(heatmap.data.length * 4);
  heatmap.data.forEach((heat, i) => {
    pixels.set(colours(heat), 4 * i);
    pixels[4 * i + 3] = 255 * opacity(heat);
  });
  return pixels;
}

/** The heatmap over its image, RGB bytes; alpha in [0, 1]. */
export function overlay(image, heatmap, alpha = 0.5) {
  const colours = palette(heatmap);
  const pixels = new Uint8ClampedArray(image.data);
  heatmap.data.forEach((heat, i) => {
    const colour = colours(heat);
    for (let c = 0; c < 3; c++) {
      const pixel = image.data[3 * i + c];
      pixels[3 * i + c] = pixel + (colour[c] - pixel) * alpha * opacity(heat);
    }
  });
  return pixels;
}

/** From a value to its colour; that of a signed map is one of its two ends. */
function palette(heatmap) {
  if (isSigned(heatmap)) return (heat) => (heat < 0 ? NEGATIVE : POSITIVE);
  const steps = Array.from({ length: 256 }, (_, step) => INFERNO.subarray(3 * step, 3 * step + 3));
  // Rounding may carry a map that was divided by its maximum a little past 1.
  return (heat) => steps[Math.min(Math.round(heat * 255), 255)];
}

function opacity(heat) {
  const magnitude = Math.min(Math.abs(heat), 1);
  return magnitude * (2 - magnitude);
}
