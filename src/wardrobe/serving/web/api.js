// Requests to the server that sent this page. No other server is contacted.

// With a token, the page's address is …/#token=…; a browser does not send what follows #.
const token = new URLSearchParams(location.hash.slice(1)).get("token");

export const PIXELS_TYPE = "application/vnd.wardrobe.pixels"; // 784 grey values, row by row

/** Sends a request, with the token if there is one; resolves to the response.
 *
 * An error response becomes an Error with the server's message.
 */
export async function send(path, options = {}) {
  const headers = { ...options.headers, ...(token && { authorization: `Bearer ${token}` }) };
  const response = await fetch(path, { ...options, headers });
  if (response.ok) return response;
  const body = await response.json().catch(() => ({}));
  throw new Error(body.error ?? `The server answered with status ${response.status}.`);
}

/** Sends a request; resolves to the JSON of the response. */
export const request = async (path, options) => (await send(path, options)).json();

export const post = (path, body, type) => request(path, { method: "POST", body, headers: { "content-type": type } });

export const getModels = async () => (await request("api/models")).models;
export const getExamples = async () => (await request("api/examples")).examples;
/** Resolves to {run, examples}: validation images, which may take long to open; run is null if no model is of a run. */
export const getValidationExamples = () => request("api/examples/validation");

/** Explains a photo (Blob), or the part in `rectangle` ({left, top, right, bottom}, fractions 0-1). */
export function explainPhoto(photo, rectangle) {
  const query = rectangle
    ? "?rectangle=" + ["left", "top", "right", "bottom"].map((side) => rectangle[side].toFixed(4)).join(",")
    : "";
  return post("api/look" + query, photo, "application/octet-stream");
}

/** Explains 784 grey values, row by row; `heat`: whether to compute the heat map. */
export const explainPixels = (pixels, heat) => post(`api/look?heat=${heat}`, pixels, PIXELS_TYPE);

/** Returns the arithmetic of a unit, {layer, filter, row, column}, of a model for 784 grey values. */
export const getUnit = (model, unit, pixels) => post(`api/unit?${new URLSearchParams({ model, ...unit })}`, pixels, PIXELS_TYPE);

/** Adds the token to links to this server's other pages. */
export function carryToken(links) {
  if (token) for (const link of links) link.hash = new URLSearchParams({ token });
}

/** Returns the bytes of base64 text. */
export const decode = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
/** Returns the signed bytes of base64 text. */
export const decodeSigned = (text) => new Int8Array(decode(text).buffer);
