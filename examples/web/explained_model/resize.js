// Resizing of images and maps, in the same way as OpenCV; see engine/images/preprocess.py for the reasons.

/**
 * Shrink by averaging over areas (OpenCV's INTER_AREA), rounded to whole numbers.
 *
 * @param {{data: Uint8Array, height: number, width: number}} image three interleaved channels
 * @returns {{data: Uint8ClampedArray, height: number, width: number}} rows x columns, no larger than the image
 */
export function shrink(image, rows, columns) {
  if (rows === image.height && columns === image.width) return image;
  const [down, across] = [image.height / rows, image.width / columns];
  const isWhole = Number.isInteger(down) && Number.isInteger(across);
  // Where both sides shrink by whole numbers OpenCV adds up pixels and divides once, exactly; else it adds up shares.
  const parts = [coverage(image.height, rows, isWhole), coverage(image.width, columns, isWhole)];
  const sums = areaSums(image, ...parts, rows, columns);
  const share = isWhole ? Math.fround(1 / (down * across)) : 1;
  // A Uint8ClampedArray rounds halves to even, as OpenCV does; of 2 x 2 pixels alone halves are rounded up.
  const nudge = down === 2 && across === 2 ? 1 / 8 : 0;
  const data = Uint8ClampedArray.from(sums, (sum) => Math.fround(sum * share) + nudge);
  return { data, height: rows, width: columns };
}

function areaSums(image, down, across, rows, columns) {
  const row = new Float32Array(columns * 3);
  const sums = new Float32Array(rows * columns * 3);
  for (const [y, sourceY, shareY] of down) {
    row.fill(0);
    const start = sourceY * image.width * 3;
    for (const [x, sourceX, shareX] of across) {
      for (let c = 0; c < 3; c++) row[3 * x + c] += Math.fround(image.data[start + 3 * sourceX + c] * shareX);
    }
    for (let i = 0, at = y * row.length; i < row.length; i++, at++) sums[at] += Math.fround(shareY * row[i]);
  }
  return sums;
}

/** Which source pixels each pixel of a shrunk side covers: [pixel, source pixel, share], or whole where none is cut. */
function coverage(from, to, isWhole) {
  const scale = from / to;
  const parts = [];
  for (let pixel = 0; pixel < to; pixel++) {
    const begin = pixel * scale;
    const end = Math.min(begin + scale, from);
    for (let source = Math.floor(begin); source < Math.ceil(end); source++) {
      const share = (Math.min(source + 1, end) - Math.max(source, begin)) / (end - begin);
      // OpenCV leaves out slivers under a thousandth of a pixel.
      if (share * (end - begin) > 1e-3) parts.push([pixel, source, isWhole ? 1 : Math.fround(share)]);
    }
  }
  return parts;
}

/**
 * Between which two of `from` values, and where between them, each pixel of a side resized to `to` lies.
 *
 * With half-pixel centres. Only the values start..start + length are there; beyond them the nearest counts.
 *
 * @returns {{low: Int32Array, high: Int32Array, share: Float32Array}} counted from `start`; of pixels first..first + count
 */
export function taps(from, to, { start = 0, length = from, first = 0, count = to } = {}) {
  const [low, high, share] = [new Int32Array(count), new Int32Array(count), new Float32Array(count)];
  const within = (place) => Math.min(Math.max(place - start, 0), length - 1);
  for (let i = 0; i < count; i++) {
    const place = ((first + i + 0.5) * from) / to - 0.5;
    const floor = Math.floor(place);
    [low[i], high[i], share[i]] = [within(floor), within(floor + 1), place - floor];
  }
  return { low, high, share };
}

/** Interpolate between values [height, width, channels] at the taps of both sides, float32. */
export function interpolate(values, width, channels, down, across) {
  const columns = across.low.length;
  const result = new Float32Array(down.low.length * columns * channels);
  let at = 0;
  for (let y = 0; y < down.low.length; y++) {
    const [upper, lower, shareY] = [down.low[y] * width, down.high[y] * width, down.share[y]];
    for (let x = 0; x < columns; x++) {
      const [left, right, shareX] = [across.low[x], across.high[x], across.share[x]];
      for (let c = 0; c < channels; c++) {
        const value = (row, column) => values[(row + column) * channels + c];
        const above = value(upper, left) * (1 - shareX) + value(upper, right) * shareX;
        const below = value(lower, left) * (1 - shareX) + value(lower, right) * shareX;
        result[at++] = above * (1 - shareY) + below * shareY;
      }
    }
  }
  return result;
}
