// Numbers → colours.

// Matplotlib's "magma" at nine places (CC0, van der Walt and Smith 2015).
const MAGMA = [[0, 0, 4], [28, 16, 68], [79, 18, 123], [129, 37, 129], [181, 54, 122], [229, 80, 100], [251, 135, 97], [254, 194, 135], [252, 253, 191]];

const between = (colours, share) => {
  const place = share * (colours.length - 1), low = Math.min(Math.floor(place), colours.length - 2);
  return colours[low].map((each, i) => Math.round(each + (place - low) * (colours[low + 1][i] - each)));
};

/** 256 colours of activations: 0 nothing, 255 much. */
export const ACTIVATION = Array.from({ length: 256 }, (_, value) => between(MAGMA, value / 255));

/** The colour of a value -127 to 127 that speaks for (red) or against (blue): [red, green, blue]. */
export const signed = (value) => between([[33, 102, 172], [146, 197, 222], [247, 247, 247], [244, 165, 130], [178, 24, 43]], (value + 127) / 254);

/** Draws values (height × width) into a canvas of that size; `colour`: value → [red, green, blue] or with alpha. */
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
/** Lays a heat map over a picture: the stronger, the less is seen of the picture. */
export const heat = (value) => [...signed(value), Math.round(215 * Math.min(1, (Math.abs(value) / 127) ** 0.7))];
