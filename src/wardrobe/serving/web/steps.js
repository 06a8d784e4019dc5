// The way from the photo to what the model sees.

import { grey, paint } from "./colours.js";

const FOUND = {
  "plain background": "The garment, off a plain background",
  "transparent background": "The garment, cut out already",
  "GrabCut": "The garment, cut out by GrabCut",
  "whole image": "No garment stands out: the whole picture is taken",
  "blank image": "The picture is empty",
};

/** Shows the steps; of a drawing or a tile there is but the last. */
export function show(list, steps, pixels) {
  list.replaceChildren();
  if (steps && steps.found_by !== "tile") {
    add(list, picture(steps.photo, "The picture"), "The picture");
    add(list, picture(steps.garment, "The garment that was found"), FOUND[steps.found_by] ?? steps.found_by);
  }
  const canvas = document.createElement("canvas");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "What the model sees");
  paint(canvas, pixels, 28, 28, grey);
  add(list, canvas, "What the model sees: 28×28, light on black");
}

function picture(source, words) {
  const image = new Image();
  image.src = source;
  image.alt = words;
  return image;
}

function add(list, shown, words) {
  const item = document.createElement("li"), figure = document.createElement("figure"), caption = document.createElement("figcaption");
  caption.textContent = words;
  figure.append(shown, caption);
  item.append(figure);
  list.append(item);
}
