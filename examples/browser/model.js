// A model.onnx in the browser: 28×28 pixels → logits → an answer in the form of `wardrobe predict --json`.

import { parseMetadata } from "./metadata.js";
import * as ort from "./ort/ort.wasm.bundle.min.mjs";

const SIDE = 28;

ort.env.wasm.numThreads = 1; // more threads need headers that not every file server sends

const file = new Uint8Array(await (await fetch("model.onnx")).arrayBuffer());
const metadata = parseMetadata(file);
const session = await ort.InferenceSession.create(file);
let previous = Promise.resolve(); // a session runs one request at a time

export const classNames = metadata.class_names;

async function computeLogits(pixels) {
  const tensor = new ort.Tensor("float32", Float32Array.from(pixels), [1, SIDE, SIDE, 1]);
  return (await session.run({ pixels: tensor })).logits.data;
}

/** Returns the answer to an image of 784 grey values, 0-255, light on black. */
export async function classify(pixels) {
  const logits = await (previous = previous.then(() => computeLogits(pixels)));
  const highest = Math.max(...logits); // subtracted so that exp does not overflow
  const powers = Array.from(logits, (logit) => Math.exp((logit - highest) / metadata.temperature));
  const sum = powers.reduce((a, b) => a + b);
  const ranked = classNames.map((name, i) => [name, powers[i] / sum]).sort((a, b) => b[1] - a[1]);
  // The log-sum-exp of the logits, as in wardrobe.inference.confidence.familiarity.
  const familiarity = highest + Math.log(logits.reduce((total, logit) => total + Math.exp(logit - highest), 0));
  const isEmpty = Math.max(...pixels) === Math.min(...pixels);
  const isUnfamiliar = !(familiarity >= metadata.familiarity_threshold);
  return {
    label: ranked[0][0],
    confidence: ranked[0][1],
    probabilities: Object.fromEntries(ranked),
    familiarity,
    not_sure: isEmpty || isUnfamiliar,
    reason: isEmpty ? "the image is blank" : isUnfamiliar ? `unlike the ${classNames.length} classes` : null,
  };
}
