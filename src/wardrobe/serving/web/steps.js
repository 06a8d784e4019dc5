// The preprocessing steps, from the photo to what the model sees.

import { grey, paint } from "./colours.js";
import { createFigure } from "./elements.js";

const GARMENT_CAPTIONS = { // by `found_by`
  "plain background": "The garment, separated from a plain background",
  "transparent background": "The garment, from the image's transparency",
  "network": "The garment, found by a small neural network",
  "whole image": "No garment found: the whole image is used",
  "blank image": "The image is blank",
};

/** Shows the steps; for a drawing or a 28×28 image, only the last. */
export function show(list, steps, pixels) {
  list.replaceChildren();
  if (steps && steps.found_by !== "tile") {
    append(list, createImage(steps.photo, "The photo"), "The photo");
    append(list, createImage(steps.garment, "The garment in the photo"), GARMENT_CAPTIONS[steps.found_by] ?? steps.found_by);
  }
  const canvas = document.createElement("canvas");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "What the model sees");
  paint(canvas, pixels, 28, 28, grey);
  append(list, canvas, "What the model sees: 28×28 pixels, light on black");
}

function createImage(source, alt) {
  const image = new Image();
  image.src = source;
  image.alt = alt;
  return image;
}

function append(list, content, text) {
  const item = document.createElement("li");
  item.append(createFigure(content, text)[0]);
  list.append(item);
}
