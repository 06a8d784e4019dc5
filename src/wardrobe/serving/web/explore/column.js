// One run's views at an epoch: a panel in each section of the explorer.

import { createBlock, formatPercent } from "../answer.js";
import { grey, paint, paintFilters } from "../colours.js";
import { createElement, createFigure } from "../elements.js";
import { createView } from "../layers.js";
import { createConfusion } from "./confusion.js";
import { createMap } from "./map.js";
import { createRunData } from "./run_data.js";
import { createUnit } from "./unit.js";

export const describeEpoch = (epoch) => (epoch ? `After epoch ${epoch}` : "Before training");

/** Returns the position of the last of `epochs` that is not after `epoch`. */
export const findPosition = (epochs, epoch) => Math.max(0, epochs.findLastIndex((each) => each <= epoch));

/** Creates a run's panels in `sections` (name → element); `choose(image)` and `chooseCell(cell)` are called when an image or a cell of the matrix is chosen.
 *
 * Returns `show(epoch, findImage, cell)`, `setTitle(isShown)`, `remove()`, `predictions()`, those that are shown, and `epochs`, which may grow.
 */
export function createColumn(sections, { summary, epochs }, choose, chooseCell) {
  const classNames = summary.class_names, data = createRunData(summary.name);
  const panels = Object.fromEntries(Object.entries(sections).map(([name, section]) => {
    const panel = createElement("div", "panel");
    panel.append(createElement("p", "run-name", summary.name)); // shown beside another run
    section.append(panel);
    return [name, panel];
  }));
  let at = null, pixels = null, predictions = null;
  const showScores = createScores(panels.epochs), showImage = createImage(panels.image, summary), showFilters = createFilters(panels.filters);
  const unitParent = document.createElement("div"), showMaps = createMaps(panels.maps, summary, (...place) => unit.open(...place));
  panels.maps.append(unitParent);
  const unit = createUnit(unitParent, classNames, (query) => data.getUnit(at, pixels, query));
  const showConfusion = createConfusion(panels.confusion, classNames, choose, chooseCell), showMap = createMap(panels.map, classNames, choose);

  return {
    name: summary.name,
    epochs,
    predictions: () => predictions,
    async show(wanted, findImage, cell) {
      const epoch = this.epochs[findPosition(this.epochs, wanted)], network = await data.getEpoch(epoch);
      showScores(epoch, network.scores);
      showFilters(network.filters); // also if the images are not there
      const [found, images] = await Promise.all([data.getPredictions(epoch), data.getImages()]);
      const image = findImage(found.labels.length), answer = await data.look(epoch, images[image]);
      [at, pixels, predictions] = [epoch, images[image], found];
      showImage(image, pixels, classNames[found.labels[image]], answer);
      showMaps(network.layers, answer, pixels);
      unit.show(network.layers, answer.layers, pixels);
      showConfusion(found, images, cell);
      showMap(found, images, image);
    },
    setTitle: (isShown) => Object.values(panels).forEach((panel) => { panel.firstChild.hidden = !isShown; }),
    remove: () => Object.values(panels).forEach((panel) => panel.remove()),
  };
}

function createScores(panel) {
  const text = createElement("p", "scores");
  panel.append(text);
  return (epoch, scores) => {
    text.textContent = describeEpoch(epoch) + (scores ? `: ${formatPercent(scores.val_accuracy)} of the validation images are right, the loss is ${scores.val_loss?.toFixed(3) ?? "not a number"}.` : ".");
  };
}

function createFilters(panel) {
  const canvas = document.createElement("canvas"), text = createElement("p", "soft");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "Filters");
  panel.append(canvas, text);
  return (filters) => {
    panel.hidden = !filters;
    if (!filters) return;
    paintFilters(canvas, filters);
    text.textContent = `${filters.layer}: ${filters.count} filters of ${filters.side}×${filters.side} weights, the largest ${filters.largest.toFixed(2)}.`;
    canvas.setAttribute("aria-label", text.textContent);
  };
}

function createImage(panel, { name, class_names: classNames }) {
  const canvas = document.createElement("canvas"), [figure, caption] = createFigure(canvas, ""), view = createElement("div", "one-image");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "The image");
  const sheet = createElement("p", "soft sheet", "Step by step, with heat maps: "), save = createElement("a", "", "save the image"), command = createElement("code", "");
  sheet.append(save, " and run ", command);
  view.append(figure);
  const showAnswer = createBlock(view, { class_names: classNames }, false);
  panel.append(view, sheet);
  return (image, pixels, label, answer) => {
    paint(canvas, pixels, 28, 28, grey);
    caption.textContent = `Image ${image}, really: ${label}`;
    canvas.setAttribute("aria-label", caption.textContent);
    save.download = `validation-${image}.png`;
    save.href = canvas.toDataURL();
    command.textContent = `wardrobe explain runs/${name} ${save.download}`;
    showAnswer(answer);
  };
}

/** Creates the layers when their shapes are known; returns the function that shows them. */
function createMaps(panel, { name, class_names }, openUnit) {
  const live = createElement("div", "live"), maps = createElement("div", "layers"), detail = createElement("aside", "detail");
  let show = null;
  detail.setAttribute("aria-label", `Selected filter, ${name}`);
  detail.append(createElement("p", "soft", "Point at a map."));
  live.append(maps, detail);
  panel.append(live);
  return (layers, answer, pixels) => {
    live.hidden = !layers.length;
    show ??= createView(maps, detail, { layers, class_names }, openUnit);
    show(answer, pixels, layers);
  };
}
