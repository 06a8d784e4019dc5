// What the page asks its own server; nothing is asked of any other.

// A server that asks for a token is opened as …/#token=…; what follows # is not sent by the browser itself.
const token = new URLSearchParams(location.hash.slice(1)).get("token");

/** Asks the server, with the token where there is one. */
const ask = (path, options = {}) =>
  fetch(path, { ...options, headers: { ...options.headers, ...(token && { authorization: `Bearer ${token}` }) } });

/** Returns the JSON of an answer; a refusal becomes an Error with the server's own words. */
async function json(response) {
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(body.error ?? `the server answered ${response.status}`);
  return body;
}

export const models = async () => (await json(await ask("api/models"))).models;
export const examples = async () => (await json(await ask("api/examples"))).examples;

/** Asks about a picture (Blob), or the part of it in `rectangle` ({left, top, right, bottom}, shares 0-1). */
export async function lookAtPicture(picture, rectangle, signal) {
  const query = rectangle
    ? "?rectangle=" + ["left", "top", "right", "bottom"].map((side) => rectangle[side].toFixed(4)).join(",")
    : "";
  return json(await ask("api/look" + query, {
    method: "POST", body: picture, signal, headers: { "content-type": "application/octet-stream" },
  }));
}

/** Asks about 784 grey values, row by row; `heat`: where the answer comes from as well. */
export async function lookAtPixels(pixels, heat, signal) {
  return json(await ask(`api/look?heat=${heat}`, {
    method: "POST", body: pixels, signal, headers: { "content-type": "application/vnd.wardrobe.pixels" },
  }));
}

/** Returns the bytes of base64 text. */
export const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
/** Returns the signed bytes of base64 text. */
export const signedBytes = (text) => new Int8Array(bytes(text).buffer);
