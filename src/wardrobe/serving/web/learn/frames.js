// The network at this moment: the first layer's filters, and a dozen validation images with what it says about each.

import { formatPercent } from "../answer.js";
import { send } from "../api.js";
import { grey, paint, paintFilters } from "../colours.js";
import { createElement } from "../elements.js";

const SIDE = 28, TILES_PER_ROW = 40; // of images.png

/** Returns the validation images of a run as canvas; the server sends them as one picture. */
async function loadImages(run, signal) {
  const bitmap = await createImageBitmap(await (await send(`api/runs/${encodeURIComponent(run)}/images.png`, { signal })).blob());
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  return (index) => {
    const { data } = context.getImageData((index % TILES_PER_ROW) * SIDE, Math.floor(index / TILES_PER_ROW) * SIDE, SIDE, SIDE);
    return data.filter((_, i) => i % 4 === 0);
  };
}

/** Creates the view of a run's frames; returns the function that shows one. */
export function createFrames({ section, filters, caption, list }, run, getClassNames, signal) {
  let readTile = null, isLoading = false, cells = [];
  section.hidden = true;
  list.replaceChildren();

  async function load() {
    if (readTile || isLoading) return;
    isLoading = true;
    readTile = await loadImages(run, signal).catch(() => null); // not there yet: the next frame tries again
    isLoading = false;
    if (readTile && !signal.aborted) cells.forEach((cell) => cell.paintTile(readTile));
  }

  return (frame) => {
    if (!getClassNames().length) return; // the run's details are still on their way
    section.hidden = false;
    paintFilters(filters, frame.filters);
    filters.setAttribute("aria-label", `The ${frame.filters.count} filters of ${frame.filters.layer}`);
    caption.textContent = frame.step ? `Epoch ${frame.epoch}, step ${frame.step.toLocaleString("en")}` : frame.epoch ? `After epoch ${frame.epoch}` : "Before training";
    if (cells.length !== frame.images.length) {
      cells = frame.images.map((image) => createCell(image, getClassNames()));
      list.replaceChildren(...cells.map((cell) => cell.item));
      if (readTile) cells.forEach((cell) => cell.paintTile(readTile));
    }
    frame.images.forEach((image, number) => cells[number].show(image.probabilities));
    load();
  };
}

/** Creates the cell of an image: its tile, a bar for each class, and the answer in words. */
function createCell({ index, label }, classNames) {
  const item = createElement("li", ""), canvas = document.createElement("canvas"), bars = createElement("span", "columns");
  const truth = createElement("span", "truth", classNames[label]), answer = createElement("span", "answer");
  const columns = classNames.map((name, number) => {
    const column = createElement("span", number === label ? "right" : "");
    column.title = name;
    bars.append(column);
    return column;
  });
  bars.setAttribute("aria-hidden", "true");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `Validation image: ${classNames[label]}`);
  item.append(canvas, bars, truth, answer);
  return {
    item,
    paintTile: (readTile) => paint(canvas, readTile(index), SIDE, SIDE, grey),
    show(probabilities) {
      const best = probabilities.indexOf(Math.max(...probabilities)), isRight = best === label;
      columns.forEach((column, number) => column.style.setProperty("--probability", probabilities[number]));
      item.classList.toggle("wrong", !isRight);
      answer.textContent = `${isRight ? "✓" : "✗ " + classNames[best]} ${formatPercent(probabilities[best], 0)}`;
    },
  };
}
