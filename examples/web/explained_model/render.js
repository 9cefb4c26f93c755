// Pictures of heatmaps, in the colours of engine/render/overlays.py: inferno, or from blue to red for signed maps.

import { INFERNO } from "./inferno.js";

// The ends of RdBu (ColorBrewer, Harrower and Brewer 2003), which colour-blind readers can tell apart.
export const NEGATIVE = [33, 102, 172];
export const POSITIVE = [178, 24, 43];

/** Whether a heatmap has negative values. */
export const isSigned = (heatmap) => heatmap.data.some((value) => value < 0);

/**
 * A heatmap as RGBA pixels to lay over its image.
 *
 * The opacity grows with the magnitude m of the heat, m * (2 - m): see `overlay` in engine/render/overlays.py.
 *
 * @param {{data: Float32Array, height: number, width: number}} heatmap in [0, 1], or signed in [-1, 1]
 * @returns {Uint8ClampedArray} four bytes a pixel
 */
export function colourLayer(heatmap) {
  const { table, step } = colours(heatmap);
  const pixels = new Uint8ClampedArray(heatmap.data.length * 4);
  heatmap.data.forEach((heat, i) => {
    const at = 3 * step(heat);
    for (let c = 0; c < 3; c++) pixels[4 * i + c] = table[at + c];
    pixels[4 * i + 3] = 255 * opacity(heat);
  });
  return pixels;
}

/** The heatmap over its image, RGB bytes; alpha in [0, 1]. */
export function overlay(image, heatmap, alpha = 0.5) {
  const { table, step } = colours(heatmap);
  const pixels = new Uint8ClampedArray(image.data.length);
  heatmap.data.forEach((heat, i) => {
    const [at, share] = [3 * step(heat), alpha * opacity(heat)];
    for (let c = 0; c < 3; c++) {
      const pixel = image.data[3 * i + c];
      pixels[3 * i + c] = pixel + (table[at + c] - pixel) * share;
    }
  });
  return pixels;
}

/** A table of colours, and from a value to its place there; the colour of a signed map is one of its two ends. */
function colours(heatmap) {
  if (isSigned(heatmap)) return { table: [...NEGATIVE, ...POSITIVE], step: (heat) => (heat < 0 ? 0 : 1) };
  // Rounding may carry a map that was divided by its maximum a little past 1.
  return { table: INFERNO, step: (heat) => Math.min(Math.round(heat * 255), 255) };
}

function opacity(heat) {
  const magnitude = Math.min(Math.abs(heat), 1);
  return magnitude * (2 - magnitude);
}
