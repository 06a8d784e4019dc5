// The drawing board: strokes and fills on black, 280×280, given out as 28×28 in the form of the data.

const SIDE = 280, SEEN = 28, FITTED = 26, CELL = SIDE / SEEN;

/** Makes the canvas a drawing board; `changed(pixels, ended)` is told the 784 grey values, null of an empty board. */
export function board(canvas, tools, changed) {
  const context = canvas.getContext("2d", { willReadFrequently: true });
  let rubbing = false, filling = true, stroke = null, cursor = { x: SIDE / 2, y: SIDE / 2 };
  const past = [];
  clear();

  function clear() {
    context.fillStyle = "#000";
    context.fillRect(0, 0, SIDE, SIDE);
  }

  function remember() {
    past.push(context.getImageData(0, 0, SIDE, SIDE));
    if (past.length > 30) past.shift();
  }

  const tone = () => (rubbing ? 0 : Number(tools.tone.value));

  function line(from, to) {
    context.strokeStyle = context.fillStyle = `rgb(${tone()} ${tone()} ${tone()})`;
    context.lineWidth = Number(tools.width.value) * (rubbing ? 1.6 : 1);
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    context.moveTo(from.x, from.y);
    context.lineTo(to.x + 0.01, to.y);
    context.stroke();
  }

  /** Fills what the stroke encloses, where its ends come near each other. */
  function fillStroke(points) {
    if (!filling || rubbing || points.length < 8) return;
    const [first, last] = [points[0], points.at(-1)];
    const length = points.slice(1).reduce((sum, each, i) => sum + Math.hypot(each.x - points[i].x, each.y - points[i].y), 0);
    if (Math.hypot(first.x - last.x, first.y - last.y) > 0.25 * length) return;
    context.fillStyle = `rgb(${tone()} ${tone()} ${tone()})`;
    context.beginPath();
    for (const each of points) context.lineTo(each.x, each.y);
    context.fill();
  }

  function at(event) {
    const box = canvas.getBoundingClientRect();
    return { x: ((event.clientX - box.left) / box.width) * SIDE, y: ((event.clientY - box.top) / box.height) * SIDE };
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    canvas.setPointerCapture(event.pointerId);
    remember();
    stroke = [at(event)];
    line(stroke[0], stroke[0]);
    changed(seen(), false);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!stroke) return;
    for (const each of event.getCoalescedEvents?.() ?? [event]) {
      const point = at(each);
      line(stroke.at(-1), point);
      stroke.push(point);
    }
    changed(seen(), false);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, () => {
      if (!stroke) return;
      fillStroke(stroke);
      stroke = null;
      changed(seen(), true);
    });
  }

  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (step) {
      const from = cursor;
      cursor = { x: clamp(cursor.x + step[0] * CELL), y: clamp(cursor.y + step[1] * CELL) };
      if (event.shiftKey) draw(from, cursor);
      tools.say(`Pen at ${Math.round(cursor.x / CELL)}, ${Math.round(cursor.y / CELL)} of ${SEEN}`);
    } else if (event.key === " ") {
      draw(cursor, cursor);
    } else if (event.key === "Backspace") {
      const before = rubbing;
      rubbing = true;
      draw(cursor, cursor);
      rubbing = before;
    } else return;
    event.preventDefault();
  });

  function draw(from, to) {
    remember();
    line(from, to);
    changed(seen(), true);
  }

  const clamp = (value) => Math.max(0, Math.min(SIDE, value));

  /** Returns the drawing cut out, fitted and centred, as the data has its garments: 784 grey values; null of none. */
  function seen() {
    const { data } = context.getImageData(0, 0, SIDE, SIDE);
    let left = SIDE, top = SIDE, right = -1, bottom = -1;
    for (let y = 0; y < SIDE; y++) for (let x = 0; x < SIDE; x++) if (data[4 * (y * SIDE + x)] > 20) {
      left = Math.min(left, x); right = Math.max(right, x); top = Math.min(top, y); bottom = Math.max(bottom, y);
    }
    if (right < 0) return null;
    const width = right - left + 1, height = bottom - top + 1, scale = FITTED / Math.max(width, height);
    const small = document.createElement("canvas");
    small.width = small.height = SEEN;
    const target = small.getContext("2d", { willReadFrequently: true });
    target.fillRect(0, 0, SEEN, SEEN);
    target.imageSmoothingQuality = "high";
    target.drawImage(canvas, left, top, width, height, (SEEN - width * scale) / 2, (SEEN - height * scale) / 2, width * scale, height * scale);
    const shrunk = target.getImageData(0, 0, SEEN, SEEN).data;
    return Uint8Array.from({ length: SEEN * SEEN }, (_, i) => shrunk[4 * i]);
  }

  function press(rub) {
    rubbing = rub;
    tools.pen.setAttribute("aria-pressed", String(!rub));
    tools.rubber.setAttribute("aria-pressed", String(rub));
  }
  tools.pen.addEventListener("click", () => press(false));
  tools.rubber.addEventListener("click", () => press(true));
  tools.fill.addEventListener("click", () => {
    filling = !filling;
    tools.fill.setAttribute("aria-pressed", String(filling));
  });
  tools.undo.addEventListener("click", () => {
    const before = past.pop();
    if (before) context.putImageData(before, 0, 0);
    changed(seen(), true);
  });
  tools.clear.addEventListener("click", () => {
    remember();
    clear();
    changed(seen(), true);
  });
}
