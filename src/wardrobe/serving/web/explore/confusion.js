// The confusion matrix, counted from labels and predictions. A cell answers a click or Enter with its images.

import { formatPercent } from "../answer.js";
import { grey, paint } from "../colours.js";
import { createElement } from "../elements.js";

const MAX_IMAGES = 60; // shown of a cell

/** Creates the matrix in `parent`; `chooseImage(image)` and `chooseCell("row,column")` are called after a click or Enter.
 *
 * Returns the function that shows predictions, images and the images of the chosen cell, "row,column" or null.
 */
export function createConfusion(parent, classNames, chooseImage, chooseCell) {
  const table = document.createElement("table"), answer = createElement("div", "cell-images"), scroll = createElement("div", "matrix");
  const cells = createCells(table, classNames), view = createElement("div", "confusion");
  let predictions = null, shown = null;
  table.style.setProperty("--classes", classNames.length);
  answer.append(createElement("p", "soft", "Choose a number to see its images. With the keyboard: arrow keys and Enter."));
  scroll.append(table);
  view.append(scroll, answer);
  parent.append(view);
  connectCells(cells, chooseCell);

  return (newPredictions, images, chosen) => {
    const isNew = newPredictions !== predictions, [row, column] = chosen?.split(",").map(Number) ?? [];
    if (isNew) countCells(cells, newPredictions, classNames);
    if (cells[row]?.[column] && (isNew || chosen !== shown)) { // otherwise the focus stays where it is
      cells.flat().forEach((cell) => cell.setAttribute("aria-selected", String(cell === cells[row][column])));
      showImages(answer, describeCell(classNames, row, column), findImages(newPredictions, row, column), images, chooseImage);
      shown = chosen;
    }
    predictions = newPredictions;
  };
}

/** Lets a click, Enter or Space choose a cell, and arrow keys move between cells. */
function connectCells(cells, choose) {
  cells.forEach((line, row) => line.forEach((cell, column) => {
    cell.tabIndex = row || column ? -1 : 0; // the grid is one stop of the Tab key; arrow keys move inside it
    cell.addEventListener("click", () => {
      cell.focus();
      choose(`${row},${column}`);
    });
    cell.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
      if (step) cells[row + step[0]]?.[column + step[1]]?.focus();
      else if (event.key === "Enter" || event.key === " ") choose(`${row},${column}`);
      else return;
      event.preventDefault();
    });
    cell.addEventListener("focus", () => cells.flat().forEach((each) => { each.tabIndex = each === cell ? 0 : -1; }));
  }));
}

/** Writes into each cell how many images it has. */
function countCells(cells, { labels, predictions }, classNames) {
  const counts = cells.map((row) => row.map(() => 0));
  labels.forEach((label, image) => { counts[label][predictions[image]] += 1; });
  counts.forEach((row, label) => {
    const total = Math.max(1, row.reduce((sum, each) => sum + each));
    row.forEach((value, column) => {
      const cell = cells[label][column];
      cell.textContent = value || "";
      cell.style.setProperty("--share", Math.sqrt(value / total)); // the root, so that a few mistakes are seen
      cell.setAttribute("aria-label", `${describeCell(classNames, label, column)}: ${value}`);
    });
  });
}

/** Returns [image, confidence] of a cell's images, the most confident first. */
function findImages({ labels, predictions, confidences }, row, column) {
  const found = labels.flatMap((label, image) => (label === row && predictions[image] === column ? [[image, confidences[image]]] : []));
  return found.sort((one, other) => other[1] - one[1]);
}

function showImages(answer, cell, found, images, choose) {
  const title = createElement("p", "cell-title", `${cell}: ${found.length} ${found.length === 1 ? "image" : "images"}`);
  const note = createElement("p", "soft", found.length > MAX_IMAGES ? `The ${MAX_IMAGES} of highest confidence are shown. Choose one to look into it above.`
    : found.length ? "The highest confidence first. Choose one to look into it above." : "No image at this epoch.");
  const list = createElement("div", "tiles");
  title.setAttribute("role", "status");
  for (const [image, confidence] of found.slice(0, MAX_IMAGES)) {
    const button = document.createElement("button"), canvas = document.createElement("canvas"), share = formatPercent(confidence, 0);
    paint(canvas, images[image], 28, 28, grey);
    button.append(canvas, share);
    button.setAttribute("aria-label", `Image ${image}, confidence ${share}`);
    button.addEventListener("click", () => choose(image));
    list.append(button);
  }
  answer.replaceChildren(title, note, list);
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
