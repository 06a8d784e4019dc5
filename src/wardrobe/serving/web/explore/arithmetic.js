// Numbers of one unit as coloured squares and tables: products and their sum, the largest of four, softmax.

import { formatPercent } from "../answer.js";
import { ACTIVATION, grey, signed } from "../colours.js";
import { createElement, createFigure } from "../elements.js";

const PIXELS = "pixels"; // as input: the image itself
const MOST_CHANNELS = 3; // shown at first, those that count most

/** Returns a number with three decimals and a true minus sign. */
const format = (value) => value.toFixed(3).replace(/^-(?=0\.000$)/, "").replace("-", "−");

/** Appends numbers (k × k) as a coloured square with a caption; `chosen`: [row, column] to mark, if any. */
function appendGrid(parent, numbers, colour, text, chosen) {
  const grid = createElement("div", "grid");
  grid.style.setProperty("--side", numbers.length);
  numbers.flat().forEach((value, i) => {
    const cell = createElement("span", "", format(value)), rgb = colour(value);
    cell.style.background = `rgb(${rgb.join(" ")})`;
    cell.style.color = isLight(rgb) ? "#000" : "#fff";
    cell.classList.toggle("chosen", Boolean(chosen) && i === chosen[0] * numbers.length + chosen[1]);
    cell.dataset.value = value;
    grid.append(cell);
  });
  parent.append(createFigure(grid, text)[0]);
}

/** Returns whether black text on a colour has more contrast than white (WCAG's relative luminance). */
function isLight(rgb) {
  const [red, green, blue] = rgb.map((each) => (each / 255 <= 0.04045 ? each / 255 / 12.92 : ((each / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179;
}

const findLargest = (numbers) => Math.max(1e-9, ...numbers.flat(2).map(Math.abs));
const colourSigned = (largest) => (value) => signed(Math.round((127 * value) / largest));
const colourActivation = (largest) => (value) => ACTIVATION[Math.max(0, Math.min(255, Math.round((255 * value) / largest)))];
const colourPixel = (value) => grey(Math.round(255 * value));

/** Appends patch × kernel = products of the channels that count most, then the sum; returns the first of these channels. */
export function appendConvolution(parent, unit, showsAll, showAll) {
  const channels = unit.patch.map((patch, number) => {
    const products = patch.map((row, y) => row.map((value, x) => value * unit.kernel[number][y][x]));
    return { number, patch, kernel: unit.kernel[number], products, sum: products.flat().reduce((sum, each) => sum + each, 0) };
  });
  channels.sort((one, other) => Math.abs(other.sum) - Math.abs(one.sum));
  const shown = showsAll ? channels : channels.slice(0, MOST_CHANNELS), others = channels.slice(shown.length);
  const isImage = unit.input === PIXELS;
  const patchColour = isImage ? colourPixel : colourActivation(findLargest(unit.patch));
  const kernelColour = colourSigned(findLargest(unit.kernel)), productColour = colourSigned(findLargest(channels.map((each) => each.products)));
  const rows = [];
  for (const { number, patch, kernel, products, sum } of shown) {
    const line = createElement("div", "product");
    if (!isImage) parent.append(createElement("p", "channel", `${unit.input}, channel ${number}`));
    appendGrid(line, patch, patchColour, "patch");
    line.append(createElement("span", "operator", "×"));
    appendGrid(line, kernel, kernelColour, "kernel");
    line.append(createElement("span", "operator", "="));
    appendGrid(line, products, productColour, "products");
    parent.append(line);
    rows.push([isImage ? `the ${products.flat().length} products together` : `products of channel ${number} together`, sum]);
  }
  if (others.length) {
    rows.push([`products of the other ${others.length} channels`, others.reduce((sum, each) => sum + each.sum, 0)]);
    const button = createElement("button", "", `Show all ${channels.length} channels`);
    button.addEventListener("click", showAll);
    parent.append(button);
  }
  rows.push(["bias", unit.bias], ["sum", unit.sum], [unit.sum < 0 ? "after ReLU: negative, so 0" : "after ReLU: not negative, so it stays", unit.output]);
  appendLedger(parent, [], rows.map(([name, value]) => [name, format(value)]), rows.map(([, value]) => value));
  return channels[0].number;
}

/** Appends the four numbers of a pooling, with a frame around the largest. */
export function appendPooling(parent, unit) {
  appendGrid(parent, unit.patch, colourActivation(findLargest(unit.patch)), `patch of ${unit.input}; the frame marks the largest`, unit.chosen);
  appendLedger(parent, [], [["largest of the four", format(unit.output)]], [unit.output]);
}

/** Appends the way from logits to probabilities, and a slider for the temperature. */
export function appendSoftmax(parent, classNames, { logits, temperature, probabilities }) {
  const label = createElement("label", ""), slider = document.createElement("input"), result = document.createElement("div");
  slider.type = "range";
  [slider.min, slider.max, slider.step, slider.value] = [0.2, 5, 0.01, temperature];
  const update = (divisor, shares) => {
    const exponentials = logits.map((logit) => Math.exp((logit - Math.max(...logits)) / divisor)), total = exponentials.reduce((sum, each) => sum + each);
    const final = shares ?? exponentials.map((each) => each / total);
    label.firstChild.textContent = `Temperature T = ${divisor.toFixed(2)}${shares ? ", the one of this network" : `; this network's is ${temperature.toFixed(2)}`} `;
    result.replaceChildren();
    appendLedger(result, ["class", "logit", "÷ T", "share"],
      classNames.map((name, i) => [name, format(logits[i]), format(logits[i] / divisor), formatPercent(final[i])]), final, logits.indexOf(Math.max(...logits)));
  };
  label.append(" ", slider);
  slider.addEventListener("input", () => update(Number(slider.value)));
  update(temperature, probabilities);
  parent.append(label, result);
}

/** Appends a table of `rows` (texts) under `head`; `values`: the exact number of each row's last cell; `result`: the row in bold. */
function appendLedger(parent, head, rows, values, result = rows.length - 1) {
  const table = createElement("table", "ledger"), headRow = table.createTHead().insertRow(), body = table.createTBody();
  for (const text of head) {
    const heading = createElement("th", "", text);
    heading.scope = "col";
    headRow.append(heading);
  }
  rows.forEach((texts, number) => {
    const row = body.insertRow(), heading = createElement("th", "", texts[0]);
    heading.scope = "row";
    row.append(heading);
    texts.slice(1).forEach((text) => { row.insertCell().textContent = text; });
    row.lastChild.dataset.value = values[number];
    row.classList.toggle("result", number === result);
  });
  parent.append(table);
}
