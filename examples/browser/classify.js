// The page: what is drawn goes to the model, and its answer into the bars. No server but the one of these files.

import { block } from "./answer.js";
import { board } from "./drawing.js";
import { classify, classNames } from "./model.js";

const at = (id) => document.getElementById(id);
const say = (text) => (at("told").textContent = text);
const show = block(at("answer"), { class_names: classNames }, false);

// One drawing at a time; of those that come meanwhile, the newest.
let busy = false, next = null;
async function changed(pixels) {
  next = pixels ?? new Uint8Array(28 * 28);
  if (busy) return;
  busy = true;
  while (next) {
    const now = next, began = performance.now();
    next = null;
    show(await classify(now));
    say(`Answered in ${(performance.now() - began).toFixed(1)} ms, on this machine.`);
  }
  busy = false;
}

const tools = Object.fromEntries(["pen", "rubber", "fill", "undo", "clear", "width", "tone"].map((id) => [id, at(id)]));
board(at("drawing"), { ...tools, say }, changed);
await changed(null);
document.body.dataset.ready = "true";
