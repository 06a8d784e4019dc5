// The stage of the Photo tab: a picture by choosing, dropping, pasting or the camera; a rectangle over it; a heat map.

import { heat, paint } from "./colours.js";

const STEP = 0.02; // of a side, that a key moves the rectangle by

/** Makes the stage; `given(blob)` is told a new picture, `corrected(rectangle or null)` another part of it. */
export function stage(parts, given, corrected) {
  let bitmap = null, heatMap = null, window_ = null, rectangle = null, from = null, stream = null;
  const context = parts.photo.getContext("2d");

  function draw() {
    if (!bitmap) return;
    const { width, height } = parts.photo;
    context.clearRect(0, 0, width, height);
    context.drawImage(bitmap, 0, 0, width, height);
    if (heatMap && parts.heat.checked) {
      const [left, top, width_, height_] = window_;
      const part = rectangle ?? { left: 0, top: 0, right: 1, bottom: 1 };
      const wide = (part.right - part.left) * width, high = (part.bottom - part.top) * height;
      context.save();
      context.beginPath();
      context.rect(part.left * width, part.top * height, wide, high);
      context.clip();
      context.drawImage(heatMap, part.left * width + left * wide, part.top * height + top * high, width_ * wide, height_ * high);
      context.restore();
    }
    if (rectangle) {
      const { left, top, right, bottom } = rectangle;
      context.lineWidth = Math.max(2, width / 250);
      for (const [colour, dash] of [["#000", []], ["#ffb000", [8, 6]]]) {
        context.strokeStyle = colour;
        context.setLineDash(dash);
        context.strokeRect(left * width, top * height, (right - left) * width, (bottom - top) * height);
      }
      context.setLineDash([]);
    }
  }

  async function show(blob) {
    stop();
    heatMap = rectangle = null;
    try {
      bitmap = await createImageBitmap(blob);
    } catch {
      bitmap = null; // HEIC and the like: the server may know it, though the browser does not
    }
    parts.empty.hidden = Boolean(bitmap);
    parts.photo.hidden = !bitmap;
    parts.corrections.hidden = parts.hint.hidden = !bitmap;
    parts.whole.hidden = true;
    if (bitmap) {
      const scale = Math.min(1, 1200 / Math.max(bitmap.width, bitmap.height));
      parts.photo.width = Math.max(1, Math.round(bitmap.width * scale));
      parts.photo.height = Math.max(1, Math.round(bitmap.height * scale));
      draw();
    }
    given(blob);
  }

  parts.choose.addEventListener("click", () => parts.file.click());
  parts.file.addEventListener("change", () => {
    if (parts.file.files.length) show(parts.file.files[0]);
    parts.file.value = "";
  });
  for (const name of ["dragenter", "dragover"]) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      parts.stage.classList.add("over");
    });
  }
  for (const name of ["dragleave", "drop"]) document.addEventListener(name, () => parts.stage.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files.length) show(event.dataTransfer.files[0]);
  });
  document.addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find((each) => each.type.startsWith("image/"));
    if (file) show(file);
  });

  function stop() {
    stream?.getTracks().forEach((track) => track.stop());
    stream = null;
    parts.camera.hidden = true;
    parts.shoot.textContent = "Use the camera";
  }
  parts.shoot.addEventListener("click", async () => {
    if (stream) {
      const canvas = document.createElement("canvas");
      canvas.width = parts.camera.videoWidth;
      canvas.height = parts.camera.videoHeight;
      canvas.getContext("2d").drawImage(parts.camera, 0, 0);
      canvas.toBlob((blob) => show(blob), "image/jpeg", 0.92);
      return;
    }
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    } catch {
      parts.say("The camera cannot be used: there is none, or it was not allowed.");
      return;
    }
    parts.camera.srcObject = stream;
    await parts.camera.play();
    parts.empty.hidden = parts.photo.hidden = true;
    parts.camera.hidden = false;
    parts.shoot.textContent = "Take the photo";
  });

  function at(event) {
    const box = parts.photo.getBoundingClientRect();
    // The canvas keeps its proportions inside its box.
    const scale = Math.min(box.width / parts.photo.width, box.height / parts.photo.height);
    const wide = parts.photo.width * scale, high = parts.photo.height * scale;
    const inside = (value) => Math.max(0, Math.min(1, value));
    return {
      x: inside((event.clientX - box.left - (box.width - wide) / 2) / wide),
      y: inside((event.clientY - box.top - (box.height - high) / 2) / high),
    };
  }
  parts.photo.addEventListener("pointerdown", (event) => {
    parts.photo.setPointerCapture(event.pointerId);
    from = at(event);
  });
  parts.photo.addEventListener("pointermove", (event) => {
    if (!from) return;
    const to = at(event);
    heatMap = null;
    rectangle = { left: Math.min(from.x, to.x), top: Math.min(from.y, to.y), right: Math.max(from.x, to.x), bottom: Math.max(from.y, to.y) };
    draw();
  });
  parts.photo.addEventListener("pointerup", () => {
    from = null;
    if (!rectangle) return;
    if (rectangle.right - rectangle.left < 0.03 || rectangle.bottom - rectangle.top < 0.03) rectangle = null;
    ask();
  });
  parts.photo.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] }[event.key];
    if (step) {
      rectangle ??= { left: 0.2, top: 0.2, right: 0.8, bottom: 0.8 };
      const [x, y] = step, box = { ...rectangle };
      if (!event.shiftKey) { box.left += x; box.top += y; }
      box.right += x;
      box.bottom += y;
      if (box.left >= 0 && box.top >= 0 && box.right <= 1 && box.bottom <= 1 && box.right - box.left > 0.05 && box.bottom - box.top > 0.05) rectangle = box;
      heatMap = null;
      draw();
    } else if (event.key === "Enter" && rectangle) ask();
    else return;
    event.preventDefault();
  });
  parts.whole.addEventListener("click", () => {
    rectangle = null;
    parts.photo.focus();
    ask();
  });
  parts.heat.addEventListener("change", draw);

  function ask() {
    parts.whole.hidden = !rectangle;
    corrected(rectangle);
  }

  return {
    show,
    /** Lays a heat map (784 signed values) over the part of the picture that the model saw: [left, top, width, height], shares. */
    lay(values, where) {
      heatMap = document.createElement("canvas");
      paint(heatMap, values, 28, 28, heat);
      window_ = where;
      draw();
    },
  };
}
