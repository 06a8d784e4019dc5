// The studio: input → request → results. One request at a time; the newest input replaces those that wait.

import * as api from "./api.js";
import { createBlock, describe } from "./answer.js";
import { createBoard } from "./drawing.js";
import { createUnit } from "./explore/unit.js";
import * as layers from "./layers.js";
import { createStage } from "./photo.js";
import * as steps from "./steps.js";
import { createTabs } from "./tabs.js";

const byId = (id) => document.getElementById(id);
const showStatus = (text) => { byId("status").textContent = text; };

api.carryToken(document.querySelectorAll("header nav a"));
const models = await api.getModels();
const hasSeveral = models.length > 1;
const showAnswers = models.map((model) => createBlock(byId("answers"), model, hasSeveral));
let latest = null, selected = 0, showLayers = createLayers(0);

/** Creates the layers of a model, and the arithmetic of their units; returns the function that shows an answer in both. */
function createLayers(number) {
  const model = models[number];
  byId("unit").replaceChildren();
  const unit = createUnit(byId("unit"), model.class_names, (query) => api.getUnit(number, query, api.decode(latest.pixels)));
  const showMaps = layers.createView(byId("layers"), byId("detail"), model, unit.open);
  return (answer, pixels) => {
    showMaps(answer, pixels);
    unit.show(model.layers, answer.layers, pixels);
  };
}

if (hasSeveral) {
  models.forEach((model, number) => {
    const button = document.createElement("button");
    button.textContent = model.title;
    button.setAttribute("aria-pressed", String(number === 0));
    button.addEventListener("click", () => {
      selected = number;
      [...byId("model-tabs").children].forEach((each, i) => each.setAttribute("aria-pressed", String(i === number)));
      showLayers = createLayers(number);
      if (latest) showLayers(latest.models[number], api.decode(latest.pixels));
    });
    byId("model-tabs").append(button);
  });
}

// Sends a request, or queues it while one is in flight. Of the queued requests, only the newest is sent.
let isBusy = false, next = null;
async function submit(request) {
  next = request;
  if (isBusy) return;
  isBusy = true;
  while (next) {
    const current = next;
    next = null;
    try {
      const result = await current.send();
      if (!next) showStatus("");
      show(result, current);
    } catch (error) {
      if (error.message === "Failed to fetch") showStatus("The server does not answer. Is it still running?");
      else if (!current.name) showStatus(error.message);
      else showStatus(`${current.name}: ${error.message.replace(/\.?$/, ".")}${latest ? " The answer shown is that of the picture before." : ""}`);
    }
  }
  isBusy = false;
}

function show(result, request) {
  latest = result;
  byId("live").hidden = false;
  const pixels = api.decode(result.pixels);
  result.models.forEach((answer, number) => showAnswers[number](answer));
  if (request.isFinal) {
    byId("announcement").textContent = result.models.map((answer, i) => (hasSeveral ? `${models[i].title}: ` : "") + describe(answer)).join(" ");
  }
  steps.show(byId("steps"), result.steps, pixels);
  showLayers(result.models[selected], pixels);
  if (result.steps && result.models[0].heat) photo.showHeatMap(api.decodeSigned(result.models[0].heat), result.steps.window);
}

// The input.
const selectTab = createTabs([...document.querySelectorAll("[role=tab]")]);
let file = null;
const submitPhoto = (rectangle) => submit({ isFinal: true, name: file.name, send: () => api.explainPhoto(file, rectangle) });
const photo = createStage(
  { stage: byId("stage"), empty: byId("empty"), photo: byId("photo"), camera: byId("camera"), choose: byId("choose"), shoot: byId("shoot"),
    file: byId("file"), corrections: byId("corrections"), hint: byId("rectangle-hint"), whole: byId("whole"), heat: byId("heat"), showStatus },
  (blob) => {
    selectTab(byId("tab-photo"));
    file = blob;
    submitPhoto(null);
  },
  submitPhoto,
);
createBoard(
  byId("drawing"),
  { pen: byId("pen"), eraser: byId("eraser"), fill: byId("fill"), undo: byId("undo"), clear: byId("clear"), width: byId("width"), tone: byId("tone"), showStatus },
  (pixels, isFinal) => submit({ isFinal, send: () => api.explainPixels(pixels ?? new Uint8Array(784), false) }),
);
function addExamples(parent, examples) {
  for (const example of examples) {
    const button = document.createElement("button"), image = new Image();
    image.src = example.png;
    image.alt = "";
    button.append(image, example.name);
    const blob = new Blob([api.decode(example.png.split(",")[1])]);
    button.addEventListener("click", () => submit({ isFinal: true, send: () => api.explainPhoto(blob, null) }));
    parent.append(button);
  }
}
addExamples(byId("examples"), await api.getExamples());

/** Adds validation images, if there are any, and shows an example unless something else is shown already. */
async function showExample() {
  const { run, examples } = await api.getValidationExamples().catch((error) => ({ run: error.message, examples: [] }));
  addExamples(byId("validation"), examples);
  byId("validation-text").hidden = !run;
  byId("validation-text").textContent = examples.length ? `Validation images of ${run}. It has not trained on them.` : `There are no validation images: ${run}`;
  if (run && models[0].metadata.data !== "synthetic") byId("examples-text").textContent = "Garments drawn by code. They are unlike the training data, so expect mistakes.";
  if (!latest && !isBusy) document.querySelector(".examples button").click();
}

document.body.dataset.ready = "true";
showExample();
