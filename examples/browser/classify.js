// A model.onnx at work in the page: drawing → 28×28 pixels → logits → bars. No server but the one of these files.

import { block } from "./answer.js";
import { board } from "./drawing.js";
import { metadata } from "./metadata.js";
import * as ort from "./ort/ort.wasm.bundle.min.mjs";

const SIDE = 28;
const at = (id) => document.getElementById(id);
const say = (text) => (at("told").textContent = text);

ort.env.wasm.wasmPaths = new URL("ort/", location.href).href;
ort.env.wasm.numThreads = 1; // more need headers that not every file server sends

const file = new Uint8Array(await (await fetch("model.onnx")).arrayBuffer());
const about = metadata(file);
const session = await ort.InferenceSession.create(file);
const show = block(at("answer"), { class_names: about.class_names }, false);

/** Returns what the model says of 784 grey values, in the form of `wardrobe predict --json`. */
async function classify(pixels) {
  const began = performance.now();
  const given = new ort.Tensor("float32", Float32Array.from(pixels), [1, SIDE, SIDE, 1]);
  const logits = (await session.run({ pixels: given })).logits.data;
  const highest = Math.max(...logits);
  const powers = Array.from(logits, (logit) => Math.exp((logit - highest) / about.temperature));
  const sum = powers.reduce((a, b) => a + b);
  const ranked = about.class_names.map((name, i) => [name, powers[i] / sum]).sort((a, b) => b[1] - a[1]);
  const familiarity = highest + Math.log(logits.reduce((total, logit) => total + Math.exp(logit - highest), 0));
  const empty = Math.max(...pixels) === Math.min(...pixels);
  const unlike = !(familiarity >= about.familiarity_threshold);
  return {
    label: ranked[0][0],
    confidence: ranked[0][1],
    probabilities: Object.fromEntries(ranked),
    not_sure: empty || unlike,
    reason: empty ? "the picture is empty" : unlike ? "unlike the clothing it learnt" : null,
    milliseconds: performance.now() - began,
  };
}

// One drawing at a time; of those that come meanwhile, the newest.
let busy = false, next = null;
async function changed(pixels) {
  next = pixels ?? new Uint8Array(SIDE * SIDE);
  if (busy) return;
  busy = true;
  while (next) {
    const now = next;
    next = null;
    const answer = await classify(now);
    show(answer);
    say(`Answered in ${answer.milliseconds.toFixed(1)} ms, on this machine.`);
  }
  busy = false;
}

const tools = Object.fromEntries(["pen", "rubber", "fill", "undo", "clear", "width", "tone"].map((id) => [id, at(id)]));
board(at("drawing"), { ...tools, say }, changed);
await changed(null);
document.body.dataset.ready = "true";
