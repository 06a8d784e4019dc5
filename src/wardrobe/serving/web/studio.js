// The studio: what is given, what is asked, what is shown. One question at a time; a newer one replaces an older.

import * as api from "./api.js";
import { block, spoken } from "./answer.js";
import { board } from "./drawing.js";
import * as layers from "./layers.js";
import { stage } from "./photo.js";
import * as steps from "./steps.js";

const at = (id) => document.getElementById(id);
const say = (text) => { at("said").textContent = text; };

const models = await api.models();
const several = models.length > 1;
const showAnswer = models.map((model) => block(at("answers"), model, several));
let last = null, shown = 0, showLayers = layers.view(at("layers"), at("detail"), models[0]);

if (several) {
  models.forEach((model, number) => {
    const button = document.createElement("button");
    button.textContent = model.name;
    button.setAttribute("aria-pressed", String(number === 0));
    button.addEventListener("click", () => {
      shown = number;
      [...at("which").children].forEach((each, i) => each.setAttribute("aria-pressed", String(i === number)));
      showLayers = layers.view(at("layers"), at("detail"), models[number]);
      if (last) showLayers(last.models[number], api.bytes(last.pixels));
    });
    at("which").append(button);
  });
}

// Asks, unless a question is out; then the newest waits its turn and those between are dropped.
let asking = false, next = null;
async function ask(question) {
  next = question;
  if (asking) return;
  asking = true;
  while (next) {
    const now = next;
    next = null;
    try {
      const found = await now.ask();
      if (!next) say("");
      show(found, now);
    } catch (error) {
      say(error.message === "Failed to fetch" ? "The server does not answer; is it still running?" : error.message);
    }
  }
  asking = false;
}

function show(found, question) {
  last = found;
  at("live").hidden = false;
  const pixels = api.bytes(found.pixels);
  found.models.forEach((answer, number) => showAnswer[number](answer));
  if (question.ended) {
    at("spoken").textContent = found.models.map((answer, i) => (several ? `${models[i].name}: ` : "") + spoken(answer)).join(" ");
  }
  steps.show(at("steps"), found.steps, pixels);
  showLayers(found.models[shown], pixels);
  if (found.steps && found.models[0].heat) photo.lay(api.signedBytes(found.models[0].heat), found.steps.window);
}

// What is given.
let picture = null;
const askPicture = (rectangle) => ask({ ended: true, ask: () => api.lookAtPicture(picture, rectangle) });
const photo = stage(
  { stage: at("stage"), empty: at("empty"), photo: at("photo"), camera: at("camera"), choose: at("choose"), shoot: at("shoot"),
    file: at("file"), corrections: at("corrections"), hint: at("rectangle-hint"), whole: at("whole"), heat: at("heat"), say },
  (blob) => {
    select("photo");
    picture = blob;
    askPicture(null);
  },
  askPicture,
);
board(
  at("drawing"),
  { pen: at("pen"), rubber: at("rubber"), fill: at("fill"), undo: at("undo"), clear: at("clear"), width: at("width"), tone: at("tone"), say },
  (pixels, ended) => ask({ ended, ask: () => api.lookAtPixels(pixels ?? new Uint8Array(784), false) }),
);
for (const example of await api.examples()) {
  const button = document.createElement("button"), image = new Image();
  image.src = example.png;
  image.alt = "";
  button.append(image, example.name);
  const blob = new Blob([api.bytes(example.png.split(",")[1])]);
  button.addEventListener("click", () => ask({ ended: true, ask: () => api.lookAtPicture(blob, null) }));
  at("tray").append(button);
}

// Tabs, as the ARIA practices have them: arrows move, the chosen one is in the tab order.
const tabs = [...document.querySelectorAll("[role=tab]")];
function select(name) {
  for (const tab of tabs) {
    const chosen = tab.id === `tab-${name}`;
    tab.setAttribute("aria-selected", String(chosen));
    tab.tabIndex = chosen ? 0 : -1;
    at(tab.getAttribute("aria-controls")).hidden = !chosen;
  }
}
tabs.forEach((tab, number) => {
  tab.addEventListener("click", () => select(tab.id.slice(4)));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    const other = tabs[(number + step + tabs.length) % tabs.length];
    select(other.id.slice(4));
    other.focus();
  });
});
document.body.dataset.ready = "true";
