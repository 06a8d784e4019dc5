// The page: a drawing → the model → bars. No server is contacted but the one that sent these files.

import { createBlock } from "./answer.js";
import { createBoard } from "./drawing.js";
import { classify, classNames } from "./model.js";

const byId = (id) => document.getElementById(id);
const showStatus = (text) => (byId("status").textContent = text);
const showAnswer = createBlock(byId("answer"), { class_names: classNames }, false);

// Classifies one drawing at a time. Of the drawings that wait, only the newest is classified.
let isBusy = false, next = null;
async function update(pixels) {
  next = pixels ?? new Uint8Array(28 * 28);
  if (isBusy) return;
  isBusy = true;
  while (next) {
    const current = next, start = performance.now();
    next = null;
    showAnswer(await classify(current));
    showStatus(`Classified in ${(performance.now() - start).toFixed(1)} ms on this machine.`);
  }
  isBusy = false;
}

const tools = Object.fromEntries(["pen", "eraser", "fill", "undo", "clear", "width", "tone"].map((id) => [id, byId(id)]));
createBoard(byId("drawing"), { ...tools, showStatus }, update);
await update(null);
document.body.dataset.ready = "true";
