// The map of the last layer: a mark for each image; the one under the pointer or the keyboard's cursor is shown.

import { formatPercent } from "../answer.js";
import { grey, paint } from "../colours.js";
import { createElement } from "../elements.js";

// Five colours of Okabe and Ito, which colour-blind readers can tell apart, in three shapes: fifteen kinds of marks.
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"], SHAPES = ["circle", "triangle", "square"];
const REACH = 24; // pixels from the pointer to a mark
const DURATION = 450; // milliseconds that marks move from one epoch to the next
const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");

/** Creates the map in `parent`; returns `show(predictions, images, image)`. `onChoose(image)`: a mark was clicked. */
export function createMap(parent, classNames, onChoose) {
  const canvas = document.createElement("canvas"), tile = document.createElement("canvas"), text = createElement("p", "", "");
  const [legend, aside] = [createElement("div", "legend"), createElement("div", "pointed")], view = createElement("div", "map"), missing = createElement("p", "soft", "There is no map: there are too few images, or all look the same to the network.");
  let predictions = null, images = null, points = [], pointed = 0, highlighted = null, frame = 0;
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-label", "Map of the last layer. Arrow keys go to the next image in that direction, Enter opens it.");
  text.setAttribute("aria-live", "polite");
  aside.append(tile, text);
  view.append(canvas, aside, legend);
  parent.append(view, missing);

  legend.append(...classNames.map((name, label) => {
    const button = createElement("button", ""), mark = document.createElement("canvas");
    mark.width = mark.height = 28;
    drawMark(mark.getContext("2d"), label, 14, 14, 10);
    button.append(mark, name);
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => {
      highlighted = highlighted === label ? null : label;
      [...legend.children].forEach((each, i) => each.setAttribute("aria-pressed", String(i === highlighted)));
      draw();
    });
    return button;
  }));

  // On the canvas, in its own pixels: x to the right, y up.
  const place = ([x, y]) => [(0.5 + 0.46 * x) * canvas.width, (0.5 - 0.46 * y) * canvas.height];

  function draw() {
    if (!points.length) return; // a few validation images make no map
    canvas.width = canvas.height = Math.round(canvas.clientWidth * devicePixelRatio);
    const context = canvas.getContext("2d"), { labels, predictions: answers } = predictions, radius = 3.6 * devicePixelRatio;
    const order = [...points.keys()].sort((one, other) => rank(one) - rank(other));
    context.strokeStyle = getComputedStyle(canvas).color;
    context.lineWidth = 1.2 * devicePixelRatio;
    for (const i of order) {
      context.globalAlpha = highlighted === null || labels[i] === highlighted ? 0.85 : 0.12;
      const [x, y] = place(points[i]);
      drawMark(context, labels[i], x, y, radius);
      if (answers[i] !== labels[i]) drawRing(context, x, y, 1.6 * radius);
    }
    context.globalAlpha = 1;
    context.lineWidth = 2.5 * devicePixelRatio;
    drawRing(context, ...place(points[pointed]), 3 * radius);
  }
  /** Mistakes lie above right answers, a highlighted class above all others. */
  const rank = (i) => (predictions.labels[i] === highlighted ? 2 : 0) + (predictions.predictions[i] !== predictions.labels[i] ? 1 : 0);

  function animate(target) {
    const start = points, began = performance.now();
    cancelAnimationFrame(frame);
    const step = (now) => {
      const passed = Math.min(1, Math.max(0, (now - began) / DURATION)), done = passed * passed * (3 - 2 * passed);
      points = target.map((to, i) => to.map((value, axis) => start[i][axis] + done * (value - start[i][axis])));
      draw();
      if (passed < 1) frame = requestAnimationFrame(step);
    };
    if (reducedMotion.matches || start.length !== target.length) [points] = [target];
    else frame = requestAnimationFrame(step);
    draw();
  }

  function point(image) {
    pointed = image;
    const { labels, predictions: answers, confidences } = predictions, [label, answer] = [labels[image], answers[image]];
    paint(tile, images[image], 28, 28, grey);
    text.textContent = `Image ${image}: ${classNames[label]}. The network says ${label === answer ? "so too" : classNames[answer]}, confidence ${formatPercent(confidences[image], 0)}.`;
    draw();
  }

  function findNearest(event) {
    const box = canvas.getBoundingClientRect(), scale = canvas.width / box.width;
    const distances = points.map((each) => {
      const [x, y] = place(each);
      return Math.hypot(x / scale - (event.clientX - box.left), y / scale - (event.clientY - box.top));
    });
    const nearest = distances.indexOf(Math.min(...distances));
    return distances[nearest] <= REACH ? nearest : null;
  }
  for (const name of ["pointermove", "pointerdown"]) {
    canvas.addEventListener(name, (event) => {
      const image = findNearest(event);
      if (image !== null && image !== pointed) point(image);
    });
  }
  canvas.addEventListener("click", (event) => findNearest(event) !== null && onChoose(pointed));
  canvas.addEventListener("keydown", (event) => {
    const direction = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (event.key === "Enter") return onChoose(pointed);
    if (!direction) return;
    event.preventDefault();
    const next = findNext(points, pointed, direction);
    if (next !== null) point(next);
  });
  new ResizeObserver(draw).observe(canvas);

  return (newPredictions, newImages, image) => {
    view.hidden = !newPredictions.points;
    missing.hidden = !view.hidden;
    const isNew = newPredictions !== predictions;
    [predictions, images] = [newPredictions, newImages];
    if (view.hidden) return;
    if (isNew) animate(predictions.points);
    point(image);
  };
}

/** Returns the nearest point in a direction, within 45 degrees of it; null if there is none. */
function findNext(points, from, [right, up]) {
  let best = null, shortest = Infinity;
  points.forEach((to, i) => {
    const x = to[0] - points[from][0], y = to[1] - points[from][1];
    const ahead = x * right + y * up, aside = Math.abs(x * up + y * right), distance = ahead + 2 * aside;
    if (ahead > 1e-6 && aside <= ahead && distance < shortest) [best, shortest] = [i, distance];
  });
  return best;
}

function drawMark(context, label, x, y, radius) {
  const shape = SHAPES[Math.floor(label / COLOURS.length) % SHAPES.length];
  context.fillStyle = COLOURS[label % COLOURS.length];
  context.beginPath();
  if (shape === "circle") context.arc(x, y, radius, 0, 2 * Math.PI);
  else if (shape === "square") context.rect(x - radius, y - radius, 2 * radius, 2 * radius);
  else for (const angle of [-90, 30, 150]) context.lineTo(x + 1.3 * radius * Math.cos((angle * Math.PI) / 180), y + 1.3 * radius * Math.sin((angle * Math.PI) / 180));
  context.fill();
}

function drawRing(context, x, y, radius) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.stroke();
}
