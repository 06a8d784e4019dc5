// A training's events: server-sent events read with fetch, because EventSource cannot send a token.

import { send } from "../api.js";

const RETRY_SECONDS = 2;
const ENDED = ["done", "interrupted", "failed"];

export const hasEnded = (status) => ENDED.includes(status);

/** Yields [name, data] of each event of a stream, until it ends. */
async function* readEvents(path, signal) {
  const response = await send(path, { signal });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = ""; ;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (text + value).split(/\r?\n\r?\n/);
    text = blocks.pop();
    for (const block of blocks) {
      const name = block.match(/^event: ?(.*)$/m)?.[1], data = block.match(/^data: ?(.*)$/m)?.[1];
      if (data) yield [name, JSON.parse(data)];
    }
  }
}

/** Follows a training until it ends or `signal` aborts; connects again when the connection is lost.
 *
 * Calls `onConnect()` before the events of a connection, which begin with all so far; `onEvent(name, data)`; `onLost(error)`.
 */
export async function follow(path, signal, { onConnect, onEvent, onLost }) {
  for (let isOver = false; !isOver && !signal.aborted;) {
    try {
      onConnect();
      for await (const [name, data] of readEvents(path, signal)) {
        if (signal.aborted) return;
        onEvent(name, data);
        if (name === "status") isOver = hasEnded(data.status);
      }
    } catch (error) {
      if (!signal.aborted) onLost(error);
    }
    if (!isOver) await new Promise((resolve) => setTimeout(resolve, 1000 * RETRY_SECONDS));
  }
}
