// A curve that grows while a network learns: training as a line, validation as points, in an SVG with axes.

import { createElement } from "../elements.js";

const HEIGHT = 230, LEFT = 46, RIGHT = 14, TOP = 12, BOTTOM = 34; // pixels
const PIXELS_PER_POINT = 1.5; // a longer line is averaged, so that a day's training draws as fast as a minute's

/** Creates a chart in `parent`.
 *
 * `name`: "Loss"; `format`: value → text; `findRange`: values → [lowest, highest] of the axis.
 * Returns the function that draws {line: [[epoch, value]…], points: [[epoch, value]…], epochs, changes: [[epoch, text]…]}.
 */
export function createChart(parent, { name, format, findRange }) {
  const figure = createElement("figure", "chart"), caption = createElement("figcaption", ""), svg = createSvg("svg", { role: "img" });
  const readout = createElement("span", "soft readout");
  caption.append(createElement("strong", "", name), readout);
  figure.append(caption, svg);
  parent.append(figure);
  let data = { line: [], points: [], epochs: 1, changes: [] }, isWaiting = false, scale = null;

  function draw() {
    isWaiting = false;
    const width = Math.max(240, figure.clientWidth);
    scale = createScale(data, width, findRange([...data.line, ...data.points].map(([, value]) => value)));
    svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    svg.setAttribute("aria-label", describe(name, data, format));
    svg.replaceChildren(...drawAxes(scale, width, format), ...drawChanges(scale, data.changes), ...drawCurves(scale, data, width));
  }
  /** Draws at the next frame; several calls before it draw once. */
  function schedule() {
    if (!isWaiting) requestAnimationFrame(draw);
    isWaiting = true;
  }
  new ResizeObserver(schedule).observe(figure);
  svg.addEventListener("pointermove", (event) => {
    const epoch = scale.toEpoch(((event.clientX - svg.getBoundingClientRect().left) / svg.clientWidth) * scale.width);
    readout.textContent = describeAt(data, epoch, format);
  });
  svg.addEventListener("pointerleave", () => { readout.textContent = ""; });

  return (changed) => {
    data = changed;
    schedule();
  };
}

function createSvg(tag, attributes, text = "") {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.textContent = text;
  return element;
}

function createScale({ epochs }, width, [lowest, highest]) {
  const plotWidth = width - LEFT - RIGHT, plotHeight = HEIGHT - TOP - BOTTOM;
  return {
    width, epochs, lowest, highest,
    x: (epoch) => LEFT + (plotWidth * epoch) / epochs,
    y: (value) => TOP + plotHeight * (1 - (Math.min(highest, value) - lowest) / (highest - lowest)),
    toEpoch: (x) => ((x - LEFT) / plotWidth) * epochs,
  };
}

/** Returns round numbers from `low` to `high`, at most about `count`. */
export function findTicks(low, high, count) {
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((each) => each * power >= rough - 1e-9);
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

function drawAxes(scale, width, format) {
  const parts = [];
  for (const value of findTicks(scale.lowest, scale.highest, 5)) {
    const y = scale.y(value);
    parts.push(createSvg("line", { class: "rule", x1: LEFT, x2: width - RIGHT, y1: y, y2: y }));
    parts.push(createSvg("text", { class: "label", x: LEFT - 8, y: y + 4, "text-anchor": "end" }, format(value)));
  }
  for (const epoch of findTicks(0, scale.epochs, Math.min(scale.epochs, width < 400 ? 5 : 10)).filter(Number.isInteger)) {
    parts.push(createSvg("text", { class: "label", x: scale.x(epoch), y: HEIGHT - BOTTOM + 17, "text-anchor": "middle" }, String(epoch)));
  }
  parts.push(createSvg("text", { class: "label", x: width - RIGHT, y: HEIGHT - 2, "text-anchor": "end" }, "epochs"));
  return parts;
}

/** Draws where the learning rate was changed. */
function drawChanges(scale, changes) {
  return changes.flatMap(([epoch, text]) => {
    const x = scale.x(epoch), isRight = x > scale.width - 90;
    return [
      createSvg("line", { class: "change", x1: x, x2: x, y1: TOP, y2: HEIGHT - BOTTOM }),
      createSvg("text", { class: "label", x: x + (isRight ? -4 : 4), y: TOP + 10, "text-anchor": isRight ? "end" : "start" }, text),
    ];
  });
}

function drawCurves(scale, { line, points }, width) {
  const path = (values) => values.map(([epoch, value], i) => `${i ? "L" : "M"}${scale.x(epoch).toFixed(1)} ${scale.y(value).toFixed(1)}`).join("");
  const short = average(line, Math.ceil((width - LEFT - RIGHT) / PIXELS_PER_POINT));
  return [
    createSvg("path", { class: "training", d: path(short) }),
    createSvg("path", { class: "validation", d: path(points) }),
    ...points.map(([epoch, value]) => createSvg("circle", { class: "validation", cx: scale.x(epoch), cy: scale.y(value), r: points.length > 40 ? 2 : 4 })),
  ];
}

/** Returns at most `count` points of a line: means of neighbours. */
function average(line, count) {
  const size = Math.ceil(line.length / count);
  if (size <= 1) return line;
  return Array.from({ length: Math.ceil(line.length / size) }, (_, i) => {
    const part = line.slice(i * size, (i + 1) * size);
    return [0, 1].map((axis) => part.reduce((sum, each) => sum + each[axis], 0) / part.length);
  });
}

function describe(name, { line, points }, format) {
  if (!line.length && !points.length) return `${name}: nothing yet.`;
  const training = line.length ? ` Training: from ${format(line[0][1])} to ${format(line.at(-1)[1])}.` : "";
  const validation = points.length ? ` Validation: from ${format(points[0][1])} after epoch ${points[0][0]} to ${format(points.at(-1)[1])} after epoch ${points.at(-1)[0]}.` : "";
  return `${name}.${training}${validation}`;
}

function describeAt({ line, points }, epoch, format) {
  const findNearest = (values) => values.reduce((best, each) => (Math.abs(each[0] - epoch) < Math.abs(best[0] - epoch) ? each : best), values[0]);
  const training = findNearest(line), validation = findNearest(points);
  return [
    training && `epoch ${training[0].toFixed(1)}: ${format(training[1])}`,
    validation && `validation ${validation[0]}: ${format(validation[1])}`,
  ].filter(Boolean).join(" · ");
}
