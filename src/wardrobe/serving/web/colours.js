// Values → colours.

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

export const grey = (value) => [value, value, value];
/** The colour of a heat map over a photo: the stronger the value, the more opaque. */
export const heat = (value) => [...signed(value), Math.round(215 * Math.min(1, (Math.abs(value) / 127) ** 0.7))];
