// The network's activations: a canvas per layer, a map per filter, and one filter enlarged.

import { decode, decodeSigned } from "./api.js";
import { ACTIVATION, grey, paint, signed } from "./colours.js";

const GAP = 256; // the value between maps, which is transparent
const activation = (value) => (value === GAP ? [0, 0, 0, 0] : ACTIVATION[value]);

/** Creates the layers of a model in `parent`; returns the function that shows their activations for an image. */
export function createView(parent, detail, model) {
  parent.replaceChildren();
  let pixels = null, selected = null;
  const layers = model.layers.map((layer) => {
    const title = document.createElement("h3"), subtitle = document.createElement("span"), canvas = document.createElement("canvas");
    const container = document.createElement("div");
    title.textContent = `${layer.name} `;
    subtitle.textContent = layer.kernel
      ? `${layer.filters} filters, each sees ${layer.receptive_field.size}×${layer.receptive_field.size} pixels`
      : `maximum of each ${layer.side}×${layer.side} block`;
    title.append(subtitle);
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
      const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
      if (!step) return;
      event.preventDefault();
      select(view, Math.max(0, Math.min(layer.filters - 1, (selected?.view === view ? selected.filter : 0) + step)));
    });
    return view;
  });

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
    const cellWidth = layer.width + 1, cellHeight = layer.height + 1;
    const totalWidth = columns * cellWidth - 1, totalHeight = rows * cellHeight - 1, values = new Uint16Array(totalWidth * totalHeight).fill(GAP);
    if (maps) {
      for (let filter = 0; filter < layer.filters; filter++) {
        const left = (filter % columns) * cellWidth, top = Math.floor(filter / columns) * cellHeight;
        for (let y = 0; y < layer.height; y++) {
          const start = (filter * layer.height + y) * layer.width;
          values.set(maps.subarray(start, start + layer.width), (top + y) * totalWidth + left);
        }
      }
    }
    paint(canvas, values, totalWidth, totalHeight, activation);
    canvas.setAttribute("aria-label", `${layer.name}: ${layer.filters} maps` + (selected?.view === view ? `, filter ${selected.filter} selected` : ""));
    if (selected?.view === view) {
      const context = canvas.getContext("2d");
      context.strokeStyle = "#ffb000";
      context.lineWidth = 1;
      context.strokeRect((selected.filter % columns) * cellWidth - 0.5, Math.floor(selected.filter / columns) * cellHeight - 0.5, cellWidth, cellHeight);
    }
  }

  /** Enlarges the selected filter: its map, where in the image it is strongest, and its weights. */
  function enlarge() {
    if (!selected || !pixels) return;
    const { view: { layer, maps, weights }, filter } = selected;
    const size = layer.width * layer.height, map = maps.subarray(filter * size, (filter + 1) * size);
    const title = document.createElement("h3");
    title.textContent = `${layer.name}, filter ${filter}`;
    detail.replaceChildren(title);
    appendMap(map, layer.width, layer.height, activation, "its activations");
    const strongest = map.indexOf(Math.max(...map)), isActive = map[strongest] > 0;
    const image = appendMap(pixels, 28, 28, grey, isActive ? "frame: where it is strongest" : "not active in this image");
    if (isActive) drawFrame(image, layer.receptive_field, strongest % layer.width, Math.floor(strongest / layer.width));
    if (weights) appendWeights(layer, weights, filter);
  }

  function appendMap(values, width, height, colour, text) {
    const canvas = document.createElement("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", text);
    paint(canvas, values, width, height, colour);
    detail.append(createFigure(text, canvas));
    return canvas;
  }

  function appendWeights(layer, weights, filter) {
    const row = document.createElement("div"), { side, kernel } = layer;
    const channels = kernel.channels[filter];
    row.className = "weights";
    channels.forEach((channel, number) => {
      const start = (filter * channels.length + number) * side * side;
      const canvas = document.createElement("canvas");
      paint(canvas, weights.subarray(start, start + side * side), side, side, signed);
      row.append(createFigure(kernel.input ? `filter ${channel}` : "pixels", canvas));
    });
    const text = kernel.input
      ? `its weights on ${kernel.input}, the ${channels.length} largest of ${kernel.input_channels} channels: positive red, negative blue`
      : "its weights on the pixels: positive red, negative blue";
    detail.append(createFigure(text, row));
  }

  return (answer, image) => {
    pixels = image;
    for (const view of layers) {
      view.maps = decode(answer.layers[view.layer.name]);
      drawMaps(view);
    }
    enlarge();
  };
}

function createFigure(text, content) {
  const figure = document.createElement("figure"), caption = document.createElement("figcaption");
  caption.textContent = text;
  figure.append(content, caption);
  return figure;
}

/** Draws the receptive field of a unit as a frame, on the canvas enlarged from 28×28. */
function drawFrame(canvas, field, x, y) {
  const scale = 8, small = document.createElement("canvas");
  small.width = small.height = 28;
  small.getContext("2d").drawImage(canvas, 0, 0);
  canvas.width = canvas.height = 28 * scale;
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(small, 0, 0, 28 * scale, 28 * scale);
  const corner = (unit) => (field.first + field.step * unit - (field.size - 1) / 2) * scale;
  context.strokeStyle = "#ffb000";
  context.lineWidth = 3;
  context.strokeRect(corner(x), corner(y), field.size * scale, field.size * scale);
}
