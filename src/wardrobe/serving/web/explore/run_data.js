// A run's data for the views: what does not change is requested once, so that the film can go back without requests.

import { PIXELS_TYPE, post, request, send } from "../api.js";

const SIDE = 28, TILES_PER_ROW = 40; // of images.png

/** Returns the requests for a run. Epochs, predictions and images are kept. */
export function createRunData(name) {
  const run = `api/runs/${encodeURIComponent(name)}`, kept = new Map();
  const keep = (key, load) => {
    if (!kept.has(key)) kept.set(key, load().catch((error) => { kept.delete(key); throw error; }));
    return kept.get(key);
  };
  const getJson = (path) => keep(path, () => request(path));
  return {
    getEpoch: (epoch) => getJson(`${run}/epochs/${epoch}`),
    getPredictions: (epoch) => getJson(`${run}/epochs/${epoch}/predictions`),
    /** Resolves to the validation images: a list of 784 grey values each. */
    getImages: () => keep("images", async () => splitTiles(await (await send(`${run}/images.png`)).blob())),
    look: (epoch, pixels) => post(`${run}/epochs/${epoch}/look`, pixels, PIXELS_TYPE),
    getUnit: (epoch, pixels, unit) => post(`${run}/epochs/${epoch}/unit?${new URLSearchParams(unit)}`, pixels, PIXELS_TYPE),
  };
}

async function splitTiles(png) {
  const bitmap = await createImageBitmap(png, { colorSpaceConversion: "none" });
  const canvas = document.createElement("canvas"), tiles = [];
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  for (let row = 0; row < bitmap.height / SIDE; row++) for (let column = 0; column < TILES_PER_ROW; column++) {
    const { data } = context.getImageData(column * SIDE, row * SIDE, SIDE, SIDE);
    tiles.push(Uint8Array.from({ length: SIDE * SIDE }, (_, i) => data[4 * i])); // red = green = blue
  }
  return tiles;
}
