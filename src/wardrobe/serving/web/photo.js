// The stage of the Photo tab: a photo from a file, drag and drop, the clipboard or the camera; a rectangle; a heat map.

import { heat, paint } from "./colours.js";

const STEP = 0.02; // that an arrow key moves the rectangle by, as a fraction of the photo's side

/** Returns a camera that is shown in `video`: start() rejects if there is none; shoot() resolves to a JPEG. */
export function createCamera(video) {
  let stream = null;
  return {
    isOn: () => Boolean(stream),
    async start() {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      video.srcObject = stream;
      await video.play();
      video.hidden = false;
    },
    stop() {
      stream?.getTracks().forEach((track) => track.stop());
      stream = null;
      video.hidden = true;
    },
    shoot() {
      const canvas = document.createElement("canvas");
      canvas.width = video.videoWidth;
      canvas.height = video.videoHeight;
      canvas.getContext("2d").drawImage(video, 0, 0);
      return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
    },
  };
}

/** Sets up the stage; calls `onPhoto(blob)` for a new photo, `onRectangle(rectangle or null)` for another part of it. */
export function createStage(elements, onPhoto, onRectangle) {
  let bitmap = null, heatMap = null, heatWindow = null, rectangle = null, start = null;
  const camera = createCamera(elements.camera);
  const context = elements.photo.getContext("2d");

  function draw() {
    if (!bitmap) return;
    const { width, height } = elements.photo;
    context.clearRect(0, 0, width, height);
    context.drawImage(bitmap, 0, 0, width, height);
    if (heatMap && elements.heat.checked) {
      const [left, top, windowWidth, windowHeight] = heatWindow;
      const part = rectangle ?? { left: 0, top: 0, right: 1, bottom: 1 };
      const wide = (part.right - part.left) * width, high = (part.bottom - part.top) * height;
      context.save();
      context.beginPath();
      context.rect(part.left * width, part.top * height, wide, high);
      context.clip();
      context.drawImage(heatMap, part.left * width + left * wide, part.top * height + top * high, windowWidth * wide, windowHeight * high);
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
    stopCamera();
    heatMap = rectangle = null;
    try {
      bitmap = await createImageBitmap(blob);
    } catch {
      bitmap = null; // for example HEIC, which the server can read and some browsers cannot
    }
    elements.empty.hidden = Boolean(bitmap);
    elements.photo.hidden = !bitmap;
    elements.corrections.hidden = elements.hint.hidden = !bitmap;
    elements.whole.hidden = true;
    if (bitmap) {
      const scale = Math.min(1, 1200 / Math.max(bitmap.width, bitmap.height));
      elements.photo.width = Math.max(1, Math.round(bitmap.width * scale));
      elements.photo.height = Math.max(1, Math.round(bitmap.height * scale));
      draw();
    }
    onPhoto(blob);
  }

  elements.choose.addEventListener("click", () => elements.file.click());
  elements.file.addEventListener("change", () => {
    if (elements.file.files.length) show(elements.file.files[0]);
    elements.file.value = "";
  });
  for (const name of ["dragenter", "dragover"]) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      elements.stage.classList.add("over");
    });
  }
  for (const name of ["dragleave", "drop"]) document.addEventListener(name, () => elements.stage.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files.length) show(event.dataTransfer.files[0]);
  });
  document.addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find((each) => each.type.startsWith("image/"));
    if (file) show(file);
  });

  function stopCamera() {
    camera.stop();
    elements.shoot.textContent = "Use the camera";
  }
  elements.shoot.addEventListener("click", async () => {
    if (camera.isOn()) {
      show(await camera.shoot());
      return;
    }
    try {
      await camera.start();
    } catch {
      elements.showStatus("The camera is not available. Allow this page to use it, or choose a photo.");
      return;
    }
    elements.empty.hidden = elements.photo.hidden = true;
    elements.shoot.textContent = "Take a photo";
  });

  function locate(event) {
    const box = elements.photo.getBoundingClientRect();
    // The photo keeps its aspect ratio inside the canvas's box.
    const scale = Math.min(box.width / elements.photo.width, box.height / elements.photo.height);
    const wide = elements.photo.width * scale, high = elements.photo.height * scale;
    const clamp = (value) => Math.max(0, Math.min(1, value));
    return {
      x: clamp((event.clientX - box.left - (box.width - wide) / 2) / wide),
      y: clamp((event.clientY - box.top - (box.height - high) / 2) / high),
    };
  }
  elements.photo.addEventListener("pointerdown", (event) => {
    elements.photo.setPointerCapture(event.pointerId);
    start = locate(event);
  });
  elements.photo.addEventListener("pointermove", (event) => {
    if (!start) return;
    const end = locate(event);
    heatMap = null;
    rectangle = { left: Math.min(start.x, end.x), top: Math.min(start.y, end.y), right: Math.max(start.x, end.x), bottom: Math.max(start.y, end.y) };
    draw();
  });
  elements.photo.addEventListener("pointerup", () => {
    start = null;
    if (!rectangle) return;
    if (rectangle.right - rectangle.left < 0.03 || rectangle.bottom - rectangle.top < 0.03) rectangle = null;
    submit();
  });
  elements.photo.addEventListener("keydown", (event) => {
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
    } else if (event.key === "Enter" && rectangle) submit();
    else return;
    event.preventDefault();
  });
  elements.whole.addEventListener("click", () => {
    rectangle = null;
    elements.photo.focus();
    submit();
  });
  elements.heat.addEventListener("change", draw);

  function submit() {
    elements.whole.hidden = !rectangle;
    onRectangle(rectangle);
  }

  return {
    show,
    /** Draws a heat map (784 signed values) over the part that the model saw: [left, top, width, height], fractions. */
    showHeatMap(values, place) {
      heatMap = document.createElement("canvas");
      paint(heatMap, values, 28, 28, heat);
      heatWindow = place;
      draw();
    },
  };
}
