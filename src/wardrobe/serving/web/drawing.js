// The drawing board: strokes and fills on black, 280×280 pixels, reduced to 28×28 in the form of Fashion-MNIST.

const SIDE = 280, TILE_SIDE = 28, CELL = SIDE / TILE_SIDE;
const GARMENT_SIDE = 26; // longer side of the garment in the tile, pixels

/** Makes a canvas a drawing board; calls `onChange(pixels, isFinal)` with 784 grey values, or null if it is empty. */
export function createBoard(canvas, tools, onChange) {
  const context = canvas.getContext("2d", { willReadFrequently: true });
  let isErasing = false, isFilling = true, stroke = null, cursor = { x: SIDE / 2, y: SIDE / 2 };
  const history = [], pen = document.createElement("span"); // shown while the keyboard draws
  pen.className = "pen";
  canvas.after(pen);
  clear();
  movePen();

  function movePen() {
    pen.style.left = `${(100 * cursor.x) / SIDE}%`;
    pen.style.top = `${(100 * cursor.y) / SIDE}%`;
  }

  function clear() {
    context.fillStyle = "#000";
    context.fillRect(0, 0, SIDE, SIDE);
  }

  function saveHistory() {
    history.push(context.getImageData(0, 0, SIDE, SIDE));
    if (history.length > 30) history.shift();
  }

  const tone = () => (isErasing ? 0 : Number(tools.tone.value));

  function drawLine(from, to) {
    context.strokeStyle = context.fillStyle = `rgb(${tone()} ${tone()} ${tone()})`;
    context.lineWidth = Number(tools.width.value) * (isErasing ? 1.6 : 1);
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    context.moveTo(from.x, from.y);
    context.lineTo(to.x + 0.01, to.y);
    context.stroke();
  }

  /** Fills the area that a stroke encloses, if its ends are near each other. */
  function fillStroke(points) {
    if (!isFilling || isErasing || points.length < 8) return;
    const [first, last] = [points[0], points.at(-1)];
    const length = points.slice(1).reduce((sum, each, i) => sum + Math.hypot(each.x - points[i].x, each.y - points[i].y), 0);
    if (Math.hypot(first.x - last.x, first.y - last.y) > 0.25 * length) return;
    context.fillStyle = `rgb(${tone()} ${tone()} ${tone()})`;
    context.beginPath();
    for (const each of points) context.lineTo(each.x, each.y);
    context.fill();
  }

  function locate(event) {
    const box = canvas.getBoundingClientRect();
    return { x: ((event.clientX - box.left) / box.width) * SIDE, y: ((event.clientY - box.top) / box.height) * SIDE };
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    canvas.setPointerCapture(event.pointerId);
    saveHistory();
    stroke = [locate(event)];
    drawLine(stroke[0], stroke[0]);
    onChange(toTile(), false);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!stroke) return;
    for (const each of event.getCoalescedEvents?.() ?? [event]) {
      const point = locate(each);
      drawLine(stroke.at(-1), point);
      stroke.push(point);
    }
    onChange(toTile(), false);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, () => {
      if (!stroke) return;
      fillStroke(stroke);
      stroke = null;
      onChange(toTile(), true);
    });
  }

  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (step) {
      const from = cursor;
      cursor = { x: clamp(cursor.x + step[0] * CELL), y: clamp(cursor.y + step[1] * CELL) };
      movePen();
      if (event.shiftKey) draw(from, cursor);
      tools.showStatus(`Pen at column ${Math.round(cursor.x / CELL)}, row ${Math.round(cursor.y / CELL)} of ${TILE_SIDE}`);
    } else if (event.key === " ") {
      draw(cursor, cursor);
    } else if (event.key === "Backspace") {
      const before = isErasing;
      isErasing = true;
      draw(cursor, cursor);
      isErasing = before;
    } else return;
    event.preventDefault();
  });

  function draw(from, to) {
    saveHistory();
    drawLine(from, to);
    onChange(toTile(), true);
  }

  const clamp = (value) => Math.max(0, Math.min(SIDE, value));

  /** Returns the drawing cropped, scaled and centred like Fashion-MNIST: 784 grey values; null if it is empty. */
  function toTile() {
    const { data } = context.getImageData(0, 0, SIDE, SIDE);
    let left = SIDE, top = SIDE, right = -1, bottom = -1;
    for (let y = 0; y < SIDE; y++) for (let x = 0; x < SIDE; x++) if (data[4 * (y * SIDE + x)] > 20) {
      left = Math.min(left, x); right = Math.max(right, x); top = Math.min(top, y); bottom = Math.max(bottom, y);
    }
    if (right < 0) return null;
    const width = right - left + 1, height = bottom - top + 1, scale = GARMENT_SIDE / Math.max(width, height);
    const small = document.createElement("canvas");
    small.width = small.height = TILE_SIDE;
    const target = small.getContext("2d", { willReadFrequently: true });
    target.fillRect(0, 0, TILE_SIDE, TILE_SIDE);
    target.imageSmoothingQuality = "high";
    target.drawImage(canvas, left, top, width, height, (TILE_SIDE - width * scale) / 2, (TILE_SIDE - height * scale) / 2, width * scale, height * scale);
    const shrunk = target.getImageData(0, 0, TILE_SIDE, TILE_SIDE).data;
    return Uint8Array.from({ length: TILE_SIDE * TILE_SIDE }, (_, i) => shrunk[4 * i]);
  }

  function selectTool(erase) {
    isErasing = erase;
    tools.pen.setAttribute("aria-pressed", String(!erase));
    tools.eraser.setAttribute("aria-pressed", String(erase));
  }
  tools.pen.addEventListener("click", () => selectTool(false));
  tools.eraser.addEventListener("click", () => selectTool(true));
  tools.fill.addEventListener("click", () => {
    isFilling = !isFilling;
    tools.fill.setAttribute("aria-pressed", String(isFilling));
  });
  tools.undo.addEventListener("click", () => {
    const before = history.pop();
    if (before) context.putImageData(before, 0, 0);
    onChange(toTile(), true);
  });
  tools.clear.addEventListener("click", () => {
    saveHistory();
    clear();
    onChange(toTile(), true);
  });
}
