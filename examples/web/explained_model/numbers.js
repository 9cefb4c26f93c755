// Rounding as numpy does it, and float16 as its 16 bits, for engines without Float16Array.

/** The nearest whole number, halves to even. */
export function rint(value) {
  const rounded = Math.round(value);
  return Math.abs(value % 1) === 0.5 && rounded % 2 ? rounded - 1 : rounded;
}

/** The bits of a number rounded to float16 (IEEE 754: 1 sign, 5 exponent and 10 fraction bits). */
export function toHalf(value) {
  if (Number.isNaN(value)) return 0x7e00;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (size < 2 ** -14) return sign | rint(size * 2 ** 24);
  let exponent = Math.floor(Math.log2(Math.min(size, 2 ** 17)));
  if (2 ** exponent > size) exponent--; // log2 of a number just below a power of two is rounded up
  // A fraction that is rounded up to 1024 carries into the exponent, as it should.
  const bits = ((exponent + 14) << 10) + rint(size * 2 ** (10 - exponent));
  return sign | Math.min(bits, 0x7c00);
}

/** The number of 16 bits. */
export function fromHalf(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return exponent ? sign * 2 ** (exponent - 25) * (1024 + fraction) : sign * fraction * 2 ** -24;
}
