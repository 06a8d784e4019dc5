// The explorer of a run: a slider over its epochs, the film, two runs side by side, and every view at the chosen epoch.

import { request } from "../api.js";
import { createElement } from "../elements.js";
import { createColumn, describeEpoch, findPosition } from "./column.js";
import { createLatest } from "./unit.js";

const FRAME_TIME = 900; // milliseconds of the film for an epoch
const SECTIONS = { // name → title, what it shows
  epochs: ["Back in time", "One epoch is one pass over all training images. Move the slider, or play the film: everything below shows the network after that epoch."],
  image: ["One image", "What the network answers for one image. It has never trained on this image."],
  filters: ["Filters", "Each square is one filter of the first layer, the small pattern that it looks for: red counts for it, blue against it."],
  maps: ["Feature maps", "Each map shows where one filter finds its pattern in the image: dark means nowhere, bright means strongly. Point at a map to enlarge it, or use the arrow keys; Enter shows the arithmetic."],
  confusion: ["Confusion matrix", "Each row is what an image really shows, each column what the network says. Right answers are on the diagonal, in blue."],
  map: ["Map of the last layer", "Each mark is an image. Images that look alike to the network lie close together. A ring marks a wrong answer."],
};

/** Creates the explorer of a run in `parent`.
 *
 * `details`: the answer of GET /api/runs/{run}; `runs`: the summaries of all runs; `state`: the page's address, `read()` and `write(changes)`.
 * Returns `update(details)`, for new epochs, and `close()`.
 */
export function createExplorer(parent, { details, runs, state }) {
  const name = details.summary.name, sections = createSections(parent), film = createFilm(sections.epochs, go);
  const status = createElement("p", "status"), compare = createCompare(sections.epochs, runs.filter((each) => each.name !== name));
  const columns = [createColumn(sections, details, look, chooseCell)];
  let epochs = [], position = 0;
  status.setAttribute("role", "status");
  sections.epochs.after(status);

  const findImage = (count) => Math.max(0, Math.min(count - 1, Math.floor(Number(state.read().image) || 0)));
  const refresh = createLatest(async () => {
    if (!epochs.length) return;
    status.textContent = "";
    await compareWith(state.read().compare).catch((error) => {
      state.write({ compare: null });
      status.textContent = error.message;
    });
    await Promise.all(columns.map((column) => column.show(epochs[position], findImage, state.read().cell))).catch((error) => { status.textContent = error.message; });
  });

  /** Shows another run beside this one, or none. */
  async function compareWith(other) {
    if (columns[1]?.name !== (other ?? undefined)) columns.splice(1).forEach((column) => column.remove());
    compare.value = other ?? "";
    if (other && !columns[1]) columns.push(createColumn(sections, await request(`api/runs/${encodeURIComponent(other)}`), look, chooseCell));
    columns.forEach((column) => column.setTitle(columns.length > 1));
  }

  function choose(image) {
    state.write({ image });
    return refresh();
  }

  /** Chooses an image in another section, and goes to the section that shows it. */
  function look(image) {
    sections.image.parentElement.scrollIntoView();
    return choose(image);
  }

  function chooseCell(cell) {
    state.write({ cell });
    return refresh();
  }

  function go(newPosition) {
    position = newPosition;
    film.show(epochs, position);
    state.write({ epoch: epochs[position] });
    return refresh();
  }

  compare.addEventListener("change", () => {
    state.write({ compare: compare.value || null });
    refresh();
  });
  createChooser(sections.image, (find) => {
    if (!columns[0].predictions()) return; // not loaded yet
    const { labels, predictions } = columns[0].predictions();
    choose(find(findImage(labels.length), labels.length, (image) => labels[image] !== predictions[image]));
  });

  /** Reads the epoch from the address; without one, the last. */
  function readAddress() {
    position = findPosition(epochs, Number(state.read().epoch ?? epochs.at(-1)));
    film.show(epochs, position);
    refresh();
  }
  const unsubscribe = state.subscribe(readAddress);

  function update(newDetails) {
    const follows = position === epochs.length - 1; // the newest epoch is shown: so will the next
    epochs = columns[0].epochs = newDetails.epochs;
    parent.hidden = !epochs.length;
    if (follows && state.read().epoch !== null) state.write({ epoch: epochs.at(-1) });
    readAddress();
  }
  update(details);
  return {
    update,
    close() {
      unsubscribe();
      film.stop();
      parent.replaceChildren();
    },
  };
}

/** Creates the sections: name → the element that takes the panels. */
function createSections(parent) {
  return Object.fromEntries(Object.entries(SECTIONS).map(([name, [title, sentence]]) => {
    const section = createElement("section", `card explore-${name}`), heading = createElement("h2", "", title), panels = createElement("div", "panels");
    heading.id = `explore-${name}`;
    section.setAttribute("aria-labelledby", heading.id);
    section.append(heading, createElement("p", "soft", sentence), panels);
    parent.append(section);
    return [name, panels];
  }));
}

/** Creates the slider and the film before `panels`; `go(position)` is called for another epoch and resolves when it is shown. */
function createFilm(panels, go) {
  const row = createElement("div", "row film"), button = createElement("button", "", "Play the film"), label = createElement("label", "", "Epoch ");
  const slider = document.createElement("input"), text = createElement("output", "");
  let timer = null;
  slider.type = "range";
  slider.min = 0;
  label.append(slider);
  row.append(button, label, text);
  panels.before(row);

  const isLast = () => slider.value === slider.max;
  function stop() {
    clearTimeout(timer);
    timer = null;
    button.textContent = "Play the film";
  }
  async function playOn() {
    if (isLast()) return stop();
    await go(Number(slider.value) + 1);
    if (timer !== null) timer = setTimeout(playOn, FRAME_TIME);
  }
  button.addEventListener("click", () => {
    if (timer !== null) return stop();
    button.textContent = "Stop the film";
    if (isLast()) go(0);
    timer = setTimeout(playOn, FRAME_TIME);
  });
  slider.addEventListener("input", () => {
    stop();
    go(Number(slider.value));
  });
  return {
    stop,
    show(epochs, position) {
      slider.max = epochs.length - 1;
      slider.value = position;
      button.disabled = epochs.length < 2;
      text.textContent = `${epochs[position]} of ${epochs.at(-1)}`;
      slider.setAttribute("aria-valuetext", describeEpoch(epochs[position]));
    },
  };
}

/** Creates the choice of a run to compare with before `panels`. */
function createCompare(panels, runs) {
  const row = createElement("div", "row"), label = createElement("label", "", "Compare with "), choice = document.createElement("select");
  choice.append(new Option("no other run", ""), ...runs.filter((each) => each.epochs_done).map((each) => new Option(each.name)));
  label.append(choice);
  row.append(label);
  row.hidden = choice.length < 2;
  panels.before(row);
  return choice;
}

/** Creates the buttons that choose an image; `choose(find)`, where `find(image, count, isWrong)` returns the next. */
function createChooser(panels, choose) {
  const row = createElement("div", "row");
  const append = (text, find) => {
    const button = createElement("button", "", text);
    button.addEventListener("click", () => choose(find));
    row.append(button);
  };
  append("Previous image", (image, count) => (image + count - 1) % count);
  append("Next image", (image, count) => (image + 1) % count);
  append("Next mistake", (image, count, isWrong) => {
    for (let i = 1; i <= count; i++) if (isWrong((image + i) % count)) return (image + i) % count;
    return image;
  });
  panels.before(row);
}
