// The network's activations: a canvas per layer, a map per filter, and one filter enlarged.

import { decode, decodeSigned } from "./api.js";
import { ACTIVATION, grey, paint, signed } from "./colours.js";
import { createElement, createFigure } from "./elements.js";
import { appendSoftmax } from "./explore/arithmetic.js";

const GAP = 256; // the value between maps, which is transparent
const UNIT_SIDE = 5; // pixels of the square that shows the one value of a dense unit
const activation = (value) => (value === GAP ? [0, 0, 0, 0] : ACTIVATION[value]);

/** Returns what a layer has many of, and how many pixels each sees. */
function describe({ kind, filters, side, receptive_field: { size } }) {
  if (kind === "pooling") return `maximum of each ${side}×${side} block`;
  return `${filters} ${kind === "dense" ? "units" : "filters"}, each sees ${size}×${size} pixels`;
}

/** Creates the layers of a model in `parent`; returns the function that shows their activations for an image.
 *
 * `openUnit(layer, filter, {row, column})` is called when a unit of the enlarged map is chosen; without a place, for the strongest.
 */
export function createView(parent, detail, model, openUnit) {
  parent.replaceChildren();
  let pixels = null, selected = null;
  const layers = model.layers.map((layer) => {
    const title = createElement("h3", "", `${layer.name} `), canvas = document.createElement("canvas"), container = document.createElement("div");
    title.append(createElement("span", "", describe(layer)));
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "img");
    container.append(title, canvas);
    parent.append(container);
    const columns = Math.min(layer.filters, layer.width >= 14 ? 16 : layer.width >= 7 ? 24 : 32);
    const view = { layer, canvas, columns, rows: Math.ceil(layer.filters / columns), maps: null, weights: layer.kernel && decodeSigned(layer.kernel.weights) };
    for (const name of ["pointerdown", "pointermove"]) {
      canvas.addEventListener(name, (event) => {
        const box = canvas.getBoundingClientRect();
        const row = Math.floor(((event.clientY - box.top) / box.height) * view.rows);
        const filter = row * columns + Math.floor(((event.clientX - box.left) / box.width) * columns);
        if (filter >= 0 && filter < layer.filters) select(view, filter);
      });
    }
    canvas.addEventListener("focus", () => select(view, selected?.view === view ? selected.filter : 0));
    canvas.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && pixels) openUnit(layer.name, selected.filter);
      const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
      if (!step) return;
      event.preventDefault();
      select(view, Math.max(0, Math.min(layer.filters - 1, (selected?.view === view ? selected.filter : 0) + step)));
    });
    return view;
  });
  const softmaxTitle = createElement("h3", "", "logits, softmax "), softmax = document.createElement("div"), last = document.createElement("div");
  softmaxTitle.append(createElement("span", "", "a score for each class, then shares that add up to 100 %"));
  last.append(softmaxTitle, softmax);
  parent.append(last);

  function select(view, filter) {
    if (selected?.view === view && selected.filter === filter) return;
    const previous = selected?.view;
    selected = { view, filter };
    if (previous && previous !== view) drawMaps(previous);
    drawMaps(view);
    enlarge();
  }

  /** Draws a layer's maps, and a frame around the selected one. */
  function drawMaps(view) {
    const { layer, canvas, columns, rows, maps } = view;
    const scale = layer.kind === "dense" ? UNIT_SIDE : 1, width = scale * layer.width, height = scale * layer.height, cellWidth = width + 1, cellHeight = height + 1;
    const totalWidth = columns * cellWidth - 1, totalHeight = rows * cellHeight - 1, values = new Uint16Array(totalWidth * totalHeight).fill(GAP);
    if (maps) {
      for (let filter = 0; filter < layer.filters; filter++) {
        const left = (filter % columns) * cellWidth, top = Math.floor(filter / columns) * cellHeight;
        for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
          values[(top + y) * totalWidth + left + x] = maps[(filter * layer.height + Math.floor(y / scale)) * layer.width + Math.floor(x / scale)];
        }
      }
    }
    paint(canvas, values, totalWidth, totalHeight, activation);
    canvas.setAttribute("aria-label", `${layer.name}: ${layer.filters} ${layer.kind === "dense" ? "units" : "maps"}` + (selected?.view === view ? `, ${nameOne(layer)} ${selected.filter} selected` : ""));
    if (selected?.view === view) {
      const context = canvas.getContext("2d");
      context.strokeStyle = "#ffb000";
      context.lineWidth = 1;
      context.strokeRect((selected.filter % columns) * cellWidth - 0.5, Math.floor(selected.filter / columns) * cellHeight - 0.5, cellWidth, cellHeight);
    }
  }

  const nameOne = ({ kind }) => (kind === "dense" ? "unit" : "filter");
  const getMap = ({ view: { layer, maps }, filter }) => maps.subarray(filter * layer.width * layer.height, (filter + 1) * layer.width * layer.height);

  /** Enlarges the selected filter: its map, where in the image it is strongest, and its weights. */
  function enlarge() {
    if (!selected || !pixels) return;
    const { view: { layer, weights }, filter } = selected;
    detail.replaceChildren(createElement("h3", "", `${layer.name}, ${nameOne(layer)} ${filter}`));
    if (layer.kind !== "dense") appendMaps(layer, filter, getMap(selected));
    if (weights) appendWeights(layer, weights, filter);
    const button = createElement("button", "", "Show its arithmetic");
    button.addEventListener("click", () => openUnit(layer.name, filter));
    detail.append(button);
  }

  function appendMaps(layer, filter, map) {
    const enlarged = appendMap(map, layer.width, layer.height, activation, "its activations; click one for its arithmetic");
    enlarged.addEventListener("click", (event) => {
      const box = enlarged.getBoundingClientRect(), scale = layer.width / box.width;
      openUnit(layer.name, filter, { row: Math.floor((event.clientY - box.top) * scale), column: Math.floor((event.clientX - box.left) * scale) });
    });
    const strongest = map.indexOf(Math.max(...map)), isActive = map[strongest] > 0;
    const image = appendMap(pixels, 28, 28, grey, isActive ? "frame: where it is strongest" : "not active in this image");
    if (isActive) {
      const { first, step, size: side } = layer.receptive_field, corner = (unit) => first + step * unit - (side - 1) / 2;
      drawFrame(image, corner(strongest % layer.width), corner(Math.floor(strongest / layer.width)), side);
    }
  }

  function appendMap(values, width, height, colour, text) {
    const canvas = document.createElement("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", text);
    paint(canvas, values, width, height, colour);
    detail.append(createFigure(canvas, text)[0]);
    return canvas;
  }

  function appendWeights(layer, weights, filter) {
    const row = document.createElement("div"), { side, kernel } = layer;
    const channels = kernel.channels[filter], input = layers.find((each) => each.layer.name === layer.input);
    row.className = "weights";
    channels.forEach((channel, number) => {
      const start = (filter * channels.length + number) * side * side;
      const canvas = document.createElement("canvas");
      paint(canvas, weights.subarray(start, start + side * side), side, side, signed);
      const figure = createFigure(canvas, input ? `filter ${channel}` : "pixels")[0];
      if (input) {
        const map = document.createElement("canvas");
        paint(map, getMap({ view: input, filter: channel }), input.layer.width, input.layer.height, activation);
        figure.prepend(map);
      }
      row.append(figure);
    });
    const text = `${input ? `maps of ${layer.input} on which its weights are largest, and below each ` : ""}its weights: positive red, negative blue`;
    detail.append(createFigure(row, text)[0]);
  }

  /** Shows an answer; `newLayers`: the same layers with other weights, of another epoch. */
  return (answer, image, newLayers) => {
    pixels = image;
    for (const view of layers) {
      const layer = newLayers?.find((each) => each.name === view.layer.name);
      if (layer) Object.assign(view, { layer, weights: layer.kernel && decodeSigned(layer.kernel.weights) });
      view.maps = decode(answer.layers[view.layer.name]);
      drawMaps(view);
    }
    softmax.replaceChildren();
    appendSoftmax(softmax, model.class_names, { ...answer, probabilities: model.class_names.map((name) => answer.probabilities[name]) });
    enlarge();
  };
}

/** Draws a frame of `side` values on a painted canvas, which is enlarged for it. */
export function drawFrame(canvas, left, top, side) {
  const { width, height } = canvas, scale = Math.ceil(224 / width), small = document.createElement("canvas");
  small.width = width;
  small.height = height;
  small.getContext("2d").drawImage(canvas, 0, 0);
  canvas.width = width * scale;
  canvas.height = height * scale;
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
  context.strokeStyle = "#ffb000";
  context.lineWidth = 3;
  context.strokeRect(left * scale, top * scale, side * scale, side * scale);
}
