// A model.onnx at work in the page: 28×28 pixels → logits → an answer, as `wardrobe predict --json` has it.

import { metadata } from "./metadata.js";
import * as ort from "./ort/ort.wasm.bundle.min.mjs";

const SIDE = 28;

ort.env.wasm.numThreads = 1; // more need headers that not every file server sends

const file = new Uint8Array(await (await fetch("model.onnx")).arrayBuffer());
const about = metadata(file);
const session = await ort.InferenceSession.create(file);
let before = Promise.resolve(); // a session answers one question at a time

export const classNames = about.class_names;

async function logitsOf(pixels) {
  const given = new ort.Tensor("float32", Float32Array.from(pixels), [1, SIDE, SIDE, 1]);
  return (await session.run({ pixels: given })).logits.data;
}

/** Returns what the model says of 784 grey values, 0-255, light on black. */
export async function classify(pixels) {
  const logits = await (before = before.then(() => logitsOf(pixels)));
  const highest = Math.max(...logits);
  const powers = Array.from(logits, (logit) => Math.exp((logit - highest) / about.temperature));
  const sum = powers.reduce((a, b) => a + b);
  const ranked = classNames.map((name, i) => [name, powers[i] / sum]).sort((a, b) => b[1] - a[1]);
  const familiarity = highest + Math.log(logits.reduce((total, logit) => total + Math.exp(logit - highest), 0));
  const empty = Math.max(...pixels) === Math.min(...pixels);
  const unlike = !(familiarity >= about.familiarity_threshold);
  return {
    label: ranked[0][0],
    confidence: ranked[0][1],
    probabilities: Object.fromEntries(ranked),
    not_sure: empty || unlike,
    reason: empty ? "the picture is empty" : unlike ? "unlike the clothing it learnt" : null,
  };
}
