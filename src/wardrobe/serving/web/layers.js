// The network, live: a canvas a layer, a tile a filter, and one filter large.

import { bytes, signedBytes } from "./api.js";
import { ACTIVATION, grey, paint, signed } from "./colours.js";

const GAP = 256; // between tiles
const activation = (value) => (value === GAP ? [0, 0, 0, 0] : ACTIVATION[value]);

/** Makes the layers of a model in `parent`; returns the function that shows what they make of an image. */
export function view(parent, detail, model) {
  parent.replaceChildren();
  let pixels = null, chosen = null;
  const layers = model.layers.map((layer) => {
    const title = document.createElement("h3"), more = document.createElement("span"), canvas = document.createElement("canvas");
    const whole = document.createElement("div");
    title.textContent = `${layer.name} `;
    more.textContent = layer.filter
      ? `${layer.filters} filters, each sees ${layer.window.size}×${layer.window.size} pixels`
      : `keeps the most of each ${layer.side}×${layer.side}`;
    title.append(more);
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "img");
    whole.append(title, canvas);
    parent.append(whole);
    const columns = Math.min(layer.filters, layer.width >= 14 ? 16 : layer.width >= 7 ? 24 : 32);
    const shown = { layer, canvas, columns, rows: Math.ceil(layer.filters / columns), maps: null, weights: layer.filter && signedBytes(layer.filter.weights) };
    for (const name of ["pointerdown", "pointermove"]) {
      canvas.addEventListener(name, (event) => {
        const box = canvas.getBoundingClientRect();
        const row = Math.floor(((event.clientY - box.top) / box.height) * shown.rows);
        const filter = row * columns + Math.floor(((event.clientX - box.left) / box.width) * columns);
        if (filter >= 0 && filter < layer.filters) choose(shown, filter);
      });
    }
    canvas.addEventListener("focus", () => choose(shown, chosen?.shown === shown ? chosen.filter : 0));
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
      if (!step) return;
      event.preventDefault();
      choose(shown, Math.max(0, Math.min(layer.filters - 1, (chosen?.shown === shown ? chosen.filter : 0) + step)));
    });
    return shown;
  });

  function choose(shown, filter) {
    if (chosen?.shown === shown && chosen.filter === filter) return;
    const before = chosen?.shown;
    chosen = { shown, filter };
    if (before && before !== shown) tiles(before);
    tiles(shown);
    large();
  }

  /** Draws a layer's tiles, the chosen one framed. */
  function tiles(shown) {
    const { layer, canvas, columns, rows, maps } = shown;
    const wide = layer.width + 1, high = layer.height + 1;
    const across = columns * wide - 1, down = rows * high - 1, values = new Uint16Array(across * down).fill(GAP);
    if (maps) {
      for (let filter = 0; filter < layer.filters; filter++) {
        const left = (filter % columns) * wide, top = Math.floor(filter / columns) * high;
        for (let y = 0; y < layer.height; y++) {
          const start = (filter * layer.height + y) * layer.width;
          values.set(maps.subarray(start, start + layer.width), (top + y) * across + left);
        }
      }
    }
    paint(canvas, values, across, down, activation);
    canvas.setAttribute("aria-label", `${layer.name}: ${layer.filters} maps` + (chosen?.shown === shown ? `, filter ${chosen.filter} chosen` : ""));
    if (chosen?.shown === shown) {
      const context = canvas.getContext("2d");
      context.strokeStyle = "#ffb000";
      context.lineWidth = 1;
      context.strokeRect((chosen.filter % columns) * wide - 0.5, Math.floor(chosen.filter / columns) * high - 0.5, wide, high);
    }
  }

  /** Shows the chosen filter large: its map, where in the image it answers most, and what it is made of. */
  function large() {
    if (!chosen || !pixels) return;
    const { shown: { layer, maps, weights }, filter } = chosen;
    const size = layer.width * layer.height, map = maps.subarray(filter * size, (filter + 1) * size);
    const title = document.createElement("h3");
    title.textContent = `${layer.name}, filter ${filter}`;
    detail.replaceChildren(title);
    add(map, layer.width, layer.height, activation, "what it finds");
    const most = map.indexOf(Math.max(...map)), found = map[most] > 0;
    const image = add(pixels, 28, 28, grey, found ? "framed: where it answers most" : "it finds nothing here");
    if (found) frame(image, layer.window, most % layer.width, Math.floor(most / layer.width));
    if (weights) parts(layer, weights, filter);
  }

  function add(values, width, height, colour, words) {
    const canvas = document.createElement("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", words);
    paint(canvas, values, width, height, colour);
    detail.append(figure(words, canvas));
    return canvas;
  }

  function parts(layer, weights, filter) {
    const row = document.createElement("div"), { side, filter: { of, channels } } = layer;
    const channelsOf = layer.filter.parts[filter];
    row.className = "parts";
    channelsOf.forEach((channel, number) => {
      const start = (filter * channelsOf.length + number) * side * side;
      const canvas = document.createElement("canvas");
      paint(canvas, weights.subarray(start, start + side * side), side, side, signed);
      row.append(figure(of ? `of ${channel}` : "of pixels", canvas));
    });
    const words = of
      ? `made of filters of ${of}, the ${channelsOf.length} that weigh most of ${channels}: where it wants them (red) and where not (blue)`
      : "its filter: where it wants light (red) and dark (blue)";
    detail.append(figure(words, row));
  }

  return (answer, given) => {
    pixels = given;
    for (const shown of layers) {
      shown.maps = bytes(answer.layers[shown.layer.name]);
      tiles(shown);
    }
    large();
  };
}

function figure(words, shown) {
  const whole = document.createElement("figure"), caption = document.createElement("figcaption");
  caption.textContent = words;
  whole.append(shown, caption);
  return whole;
}

/** Frames the window that a unit looks through, in a 28×28 canvas made larger. */
function frame(canvas, window, x, y) {
  const scale = 8, small = document.createElement("canvas");
  small.width = small.height = 28;
  small.getContext("2d").drawImage(canvas, 0, 0);
  canvas.width = canvas.height = 28 * scale;
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(small, 0, 0, 28 * scale, 28 * scale);
  const corner = (at) => (window.first + window.step * at - (window.size - 1) / 2) * scale;
  context.strokeStyle = "#ffb000";
  context.lineWidth = 3;
  context.strokeRect(corner(x), corner(y), window.size * scale, window.size * scale);
}
