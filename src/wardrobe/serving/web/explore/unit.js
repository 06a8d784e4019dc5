// The arithmetic of one unit, with the real numbers of the network: what it takes in, what it computes, what comes out.

import { decode } from "../api.js";
import { appendConvolution, appendPooling, appendSoftmax } from "./arithmetic.js";
import { ACTIVATION, grey, paint } from "../colours.js";
import { createElement, createFigure } from "../elements.js";
import { drawFrame } from "../layers.js";

const LOGITS = "logits", PIXELS = "pixels";
const SENTENCES = {
  convolution: "A convolution lays its kernel over a patch, multiplies the numbers that meet, and adds all products and the bias. ReLU makes a negative sum 0.",
  dense: "A dense unit has a weight for every value of the layer before. It multiplies them, and adds all products and the bias. ReLU makes a negative sum 0.",
  pooling: "A pooling looks at four neighbours and keeps only the largest.",
  logits: "The last layer gives each class a score, its logit. Softmax turns the scores into shares that add up to 100 %. A high temperature levels the shares, so the confidence is lower.",
};

/** Creates the view in `parent`, closed; `getUnit({layer, filter, row, column})` resolves to the server's answer.
 *
 * Returns `show(layers, maps, pixels)`, the network's layers, their activations (name → base64) and its image, and `open(layer, filter, {row, column})`, without a place for the strongest unit.
 */
export function createUnit(parent, classNames, getUnit) {
  const view = createElements(parent);
  let layers = [], maps = {}, pixels = null, unit = { layer: null, filter: 0, row: 0, column: 0 }, showsAll = false;
  const layer = () => layers.find((each) => each.name === unit.layer);
  const getMap = (name, filter) => {
    const { width, height } = layers.find((each) => each.name === name);
    return decode(maps[name]).subarray(filter * width * height, (filter + 1) * width * height);
  };

  const refresh = createLatest(async () => {
    if (!view.details.open || !pixels) return;
    const asked = { ...unit };
    try {
      const answer = await getUnit(asked.layer === LOGITS ? { layer: LOGITS } : asked);
      if (asked.layer !== unit.layer) return; // the newest call follows
      draw(answer, asked);
    } catch (error) {
      view.sum.replaceChildren(createElement("p", "status", error.message));
    }
  });

  /** Moves to a unit; what is outside the layer becomes its nearest unit. */
  function move(change) {
    if (change.layer && change.layer !== unit.layer) showsAll = false;
    Object.assign(unit, change);
    const here = layer();
    if (here) {
      unit.filter = clamp(unit.filter, here.filters);
      unit.row = clamp(unit.row, here.height);
      unit.column = clamp(unit.column, here.width);
      view.filter.max = here.filters - 1;
      view.filter.value = unit.filter;
      drawOutput(here);
    }
    view.layer.value = unit.layer;
    view.filterLabel.hidden = view.walk.hidden = !here;
    refresh();
  }

  function drawOutput({ width, height, name }) {
    paint(view.output, getMap(name, unit.filter), width, height, (value) => ACTIVATION[value]);
    drawFrame(view.output, unit.column, unit.row, 1);
    view.output.setAttribute("aria-label", `Map of ${name}, filter ${unit.filter}. Row ${unit.row}, column ${unit.column}. Arrow keys walk.`);
  }

  function draw(answer, { filter, row, column }) {
    view.sentence.textContent = SENTENCES[answer.kind];
    view.sum.replaceChildren();
    if (answer.kind === LOGITS) return appendSoftmax(view.sum, classNames, answer);
    const channel = answer.kind === "pooling" ? filter : appendConvolution(view.sum, answer, showsAll, () => { showsAll = true; refresh(); });
    if (answer.kind === "pooling") appendPooling(view.sum, answer);
    const side = (answer.kernel?.[0] ?? answer.patch).length, isImage = answer.input === PIXELS;
    const { width, height } = isImage ? { width: 28, height: 28 } : layers.find((each) => each.name === answer.input);
    paint(view.input, isImage ? pixels : getMap(answer.input, channel), width, height, isImage ? grey : (value) => ACTIVATION[value]);
    drawFrame(view.input, answer.left, answer.top, side);
    view.inputCaption.textContent = `What it takes in: ${isImage ? "the image" : `${answer.input}, channel ${channel}`}`;
    view.outputCaption.textContent = `What comes out: ${unit.layer}, filter ${filter}, row ${row}, column ${column}`;
  }

  const locate = (event) => {
    const box = view.output.getBoundingClientRect(), { width, height } = layer();
    move({ column: Math.floor(((event.clientX - box.left) / box.width) * width), row: Math.floor(((event.clientY - box.top) / box.height) * height) });
  };
  view.output.addEventListener("pointerdown", locate);
  view.output.addEventListener("pointermove", locate);
  view.output.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!step) return;
    event.preventDefault();
    move({ row: unit.row + step[0], column: unit.column + step[1] });
  });
  view.layer.addEventListener("change", () => move({ layer: view.layer.value, filter: 0 }));
  view.filter.addEventListener("input", () => view.filter.value !== "" && move({ filter: Number(view.filter.value) }));
  view.details.addEventListener("toggle", refresh);

  return {
    show(newLayers, newMaps, image) {
      const isNew = newLayers.map((each) => each.name).join() !== layers.map((each) => each.name).join();
      [layers, maps, pixels] = [newLayers, newMaps, image];
      if (isNew) {
        view.layer.replaceChildren(...layers.map((each) => new Option(each.name)), new Option("logits (the answer)", LOGITS));
        unit = { ...unit, layer: layers[0]?.name ?? LOGITS, filter: 0 };
        if (layers.length) Object.assign(unit, findStrongest(layers[0], getMap(layers[0].name, 0)));
      }
      view.details.hidden = !layers.length;
      move({});
    },
    open(name, filter, place) {
      view.details.open = true;
      move({ layer: name, filter, ...(place ?? findStrongest(layers.find((each) => each.name === name), getMap(name, filter))) });
      view.output.focus({ preventScroll: true });
      view.details.scrollIntoView({ block: "nearest" });
    },
  };
}

/** Returns where a map is strongest. */
function findStrongest({ width }, map) {
  const index = map.indexOf(Math.max(...map));
  return { row: Math.floor(index / width), column: index % width };
}

/** Returns a function that runs `run`, one at a time; a call during a run is followed by one more run. */
export function createLatest(run) {
  let isBusy = false, isDue = false;
  return async () => {
    isDue = true;
    if (isBusy) return;
    isBusy = true;
    try {
      while (isDue) {
        isDue = false;
        await run();
      }
    } finally {
      isBusy = false;
    }
  };
}

const clamp = (value, count) => Math.max(0, Math.min(count - 1, Math.round(value)));

function createElements(parent) {
  const details = createElement("details", "unit"), controls = createElement("div", "row"), walk = createElement("div", "walk");
  const layerLabel = createElement("label", "", "Layer "), filterLabel = createElement("label", "", "Filter ");
  const layer = document.createElement("select"), filter = document.createElement("input");
  const input = document.createElement("canvas"), output = document.createElement("canvas");
  const sentence = createElement("p", "soft"), sum = createElement("div", "sum"), sides = createElement("div", "sides");
  filter.type = "number";
  filter.min = 0;
  layerLabel.append(layer);
  filterLabel.append(filter);
  controls.append(layerLabel, filterLabel);
  input.setAttribute("role", "img");
  input.setAttribute("aria-label", "What the unit takes in; a frame marks its patch");
  output.setAttribute("role", "application");
  output.tabIndex = 0;
  const [inputFigure, inputCaption] = createFigure(input, ""), [outputFigure, outputCaption] = createFigure(output, "");
  outputCaption.setAttribute("aria-live", "polite");
  walk.append(inputFigure, createElement("span", "operator", "→"), outputFigure,
    createElement("p", "soft", "Walk over the map on the right with the pointer or the arrow keys: all numbers change with it. They are rounded to three decimals."));
  sides.append(walk, sum);
  details.append(createElement("summary", "", "The arithmetic of one unit"), sentence, controls, sides);
  parent.append(details);
  return { details, layer, filter, filterLabel, walk, input, inputCaption, output, outputCaption, sentence, sum };
}
