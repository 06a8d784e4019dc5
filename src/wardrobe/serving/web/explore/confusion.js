// The confusion matrix, counted from labels and predictions. A cell answers a click or Enter with its images.

import { grey, paint } from "../colours.js";
import { createElement } from "../elements.js";

const MAX_IMAGES = 60; // shown of a cell

/** Creates the matrix in `parent`; returns the function that shows predictions and images. `onChoose(image)`: an image was clicked. */
export function createConfusion(parent, classNames, onChoose) {
  const table = document.createElement("table"), answer = createElement("div", "cell-images"), scroll = createElement("div", "matrix");
  const cells = createCells(table, classNames);
  let chosen = null, predictions = null, images = null;
  answer.append(createElement("p", "soft", "Choose a number to see its images. With the keyboard: arrow keys and Enter."));
  const view = createElement("div", "confusion");
  scroll.append(table);
  view.append(scroll, answer);
  parent.append(view);

  const count = classNames.length;
  cells.flat().forEach((cell, number) => {
    const row = Math.floor(number / count), column = number % count;
    cell.tabIndex = number ? -1 : 0; // the grid is one stop of the Tab key; arrow keys move inside it
    cell.addEventListener("click", () => choose(row, column));
    cell.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
      if (step) cells[row + step[0]]?.[column + step[1]]?.focus();
      else if (event.key === "Enter" || event.key === " ") choose(row, column);
      else return;
      event.preventDefault();
    });
    cell.addEventListener("focus", () => cells.flat().forEach((each) => { each.tabIndex = each === cell ? 0 : -1; }));
  });

  function choose(row, column) {
    chosen = { row, column };
    cells[row][column].focus();
    showCell();
  }

  function showCell() {
    if (!chosen) return;
    const { row, column } = chosen, { labels, predictions: answers, confidences } = predictions;
    cells.flat().forEach((cell, number) => cell.setAttribute("aria-selected", String(number === row * count + column)));
    const found = labels.flatMap((label, image) => (label === row && answers[image] === column ? [image] : []));
    found.sort((one, other) => confidences[other] - confidences[one]);
    const title = createElement("p", "cell-title", `${describeCell(classNames, row, column)}: ${found.length} ${found.length === 1 ? "image" : "images"}`);
    const list = createElement("div", "tiles");
    title.setAttribute("role", "status");
    for (const image of found.slice(0, MAX_IMAGES)) {
      const button = document.createElement("button"), canvas = document.createElement("canvas"), share = `${Math.round(100 * confidences[image])} %`;
      paint(canvas, images[image], 28, 28, grey);
      button.append(canvas, share);
      button.setAttribute("aria-label", `Image ${image}, ${share} sure`);
      button.addEventListener("click", () => onChoose(image));
      list.append(button);
    }
    const note = createElement("p", "soft", found.length > MAX_IMAGES ? `The ${MAX_IMAGES} surest are shown. Choose one to look into it above.`
      : found.length ? "The surest first. Choose one to look into it above." : "No image at this epoch.");
    answer.replaceChildren(title, note, list);
  }

  return (newPredictions, newImages) => {
    if (newPredictions === predictions) return; // nothing to draw: the focus stays where it is
    [predictions, images] = [newPredictions, newImages];
    const counts = cells.map((row) => row.map(() => 0));
    predictions.labels.forEach((label, image) => { counts[label][predictions.predictions[image]] += 1; });
    counts.forEach((row, label) => {
      const total = Math.max(1, row.reduce((sum, each) => sum + each));
      row.forEach((value, column) => {
        const cell = cells[label][column];
        cell.textContent = value || "";
        cell.style.setProperty("--share", value / total);
        cell.setAttribute("aria-label", `${describeCell(classNames, label, column)}: ${value}`);
      });
    });
    showCell();
  };
}

const describeCell = (names, row, column) => (row === column ? `${names[row]}, right` : `${names[row]} taken for ${names[column]}`);

/** Fills the table: class names above and on the left; returns its cells, row by row. */
function createCells(table, classNames) {
  const head = table.createTHead().insertRow(), body = table.createTBody();
  table.setAttribute("role", "grid");
  table.setAttribute("aria-label", "Confusion matrix: rows are the real classes, columns the network's answers");
  const appendHeading = (row, text, scope) => {
    const heading = document.createElement("th");
    heading.scope = scope;
    heading.append(createElement("span", "", text));
    row.append(heading);
  };
  head.append(document.createElement("td"));
  classNames.forEach((name) => appendHeading(head, name, "col"));
  return classNames.map((name, number) => {
    const row = body.insertRow();
    appendHeading(row, name, "row");
    return classNames.map((_, column) => {
      const cell = row.insertCell();
      cell.setAttribute("role", "gridcell");
      cell.classList.toggle("right", column === number);
      return cell;
    });
  });
}
