// Values → colours.

import { decodeSigned } from "./api.js";

// Matplotlib's "magma" at nine points (CC0, van der Walt and Smith 2015).
const MAGMA = [[0, 0, 4], [28, 16, 68], [79, 18, 123], [129, 37, 129], [181, 54, 122], [229, 80, 100], [251, 135, 97], [254, 194, 135], [252, 253, 191]];

const interpolate = (colours, fraction) => {
  const position = fraction * (colours.length - 1), low = Math.min(Math.floor(position), colours.length - 2);
  return colours[low].map((each, i) => Math.round(each + (position - low) * (colours[low + 1][i] - each)));
};

/** The colours of activations: 0 none, 255 the strongest. */
export const ACTIVATION = Array.from({ length: 256 }, (_, value) => interpolate(MAGMA, value / 255));

/** The colour of a value, -127 (blue) to 127 (red): [red, green, blue]. */
export const signed = (value) => interpolate([[33, 102, 172], [146, 197, 222], [247, 247, 247], [244, 165, 130], [178, 24, 43]], (value + 127) / 254);

/** Draws values (height × width) on a canvas of that size; `colour`: value → [red, green, blue] or with alpha. */
export function paint(canvas, values, width, height, colour) {
  canvas.width = width;
  canvas.height = height;
  const image = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    const [red, green, blue, alpha = 255] = colour(values[i]);
    image.data.set([red, green, blue, alpha], 4 * i);
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** Draws the first channel of a layer's filters as tiles, eight a row; `filters`: FILTERS of the server's answers. */
export function paintFilters(canvas, { side, count, weights }) {
  const columns = Math.min(count, 8), cell = side + 1, width = columns * cell - 1, height = Math.ceil(count / columns) * cell - 1;
  const values = new Array(width * height).fill(null); // null: between the tiles
  decodeSigned(weights).forEach((weight, i) => {
    const filter = Math.floor(i / side ** 2), y = Math.floor(i / side) % side, x = i % side;
    values[(Math.floor(filter / columns) * cell + y) * width + (filter % columns) * cell + x] = weight;
  });
  paint(canvas, values, width, height, (value) => (value === null ? [0, 0, 0, 0] : signed(value)));
}

export const grey = (value) => [value, value, value];
/** The colour of a heat map over a photo: the stronger the value, the more opaque. */
export const heat = (value) => [...signed(value), Math.round(215 * Math.min(1, (Math.abs(value) / 127) ** 0.7))];
