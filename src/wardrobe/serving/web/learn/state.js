// What the page shows, kept in its address: #token=…&run=NAME&epoch=3&image=12&compare=OTHER&cell=6,0.

const NAMES = ["token", "run", "epoch", "image", "compare", "cell"];

/** Returns {token, run, epoch, image, compare, cell}: texts, or null. */
export function read() {
  const values = new URLSearchParams(location.hash.slice(1));
  return Object.fromEntries(NAMES.map((name) => [name, values.get(name)]));
}

/** Returns the address with some values changed; null removes one. */
export function format(changes) {
  const values = Object.entries({ ...read(), ...changes }).filter(([, value]) => value !== null);
  return "#" + new URLSearchParams(values);
}

/** Returns the address of a run; of a new training for null. */
export const formatRun = (run) => format({ run, epoch: null, image: null, compare: null, cell: null });

/** Changes values in the address, without a new entry in the browser's history. */
export const write = (changes) => history.replaceState(null, "", format(changes));

/** Calls `onChange()` when a person changed the address: a link, back, forward. Returns the function that ends it. */
export function subscribe(onChange) {
  addEventListener("hashchange", onChange);
  return () => removeEventListener("hashchange", onChange);
}
