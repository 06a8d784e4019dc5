// Pictures from a person: drawn, from files, or from the camera. Each becomes the 28×28 tile that a network sees.

import { decode, post } from "../api.js";
import { createBoard } from "../drawing.js";
import { createCamera } from "../photo.js";
import { createTabs } from "../tabs.js";

/** Returns the tile of a photo (Blob): 784 grey values. */
export async function makeTile(photo) {
  return decode((await post("api/look?heat=false", photo, "application/octet-stream")).pixels);
}

/** Returns the images that were dropped or pasted. */
export const listImages = (data) => [...(data?.files ?? [])].filter((file) => file.type.startsWith("image/") || !file.type);

/** Lets files be dropped on an element. */
export function acceptDrops(element, onPhotos) {
  for (const name of ["dragenter", "dragover"]) {
    element.addEventListener(name, (event) => {
      event.preventDefault();
      element.classList.add("over");
    });
  }
  for (const name of ["dragleave", "drop"]) element.addEventListener(name, () => element.classList.remove("over"));
  element.addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation();
    const photos = listImages(event.dataTransfer);
    if (photos.length) onPhotos(photos);
  });
}

/** Creates the tabs Draw, Photo and Camera in `parent`, from the page's template; `name` makes their ids unique.
 *
 * Calls `onDrawing(pixels or null, isFinal)`, `onPhotos(blobs)` and `onSource("draw", "photo" or "camera")`.
 */
export function createPictures(parent, name, { onDrawing = () => {}, onPhotos, onSource = () => {} }) {
  const content = document.getElementById("pictures-template").content.cloneNode(true);
  const part = Object.fromEntries([...content.querySelectorAll("[data-part]")].map((each) => [each.dataset.part, each]));
  const tabs = [...content.querySelectorAll("[role=tab]")], panels = [...content.querySelectorAll("[role=tabpanel]")];
  tabs.forEach((tab, i) => {
    tab.id = `${name}-tab-${tab.dataset.source}`;
    panels[i].id = `${name}-panel-${tab.dataset.source}`;
    tab.setAttribute("aria-controls", panels[i].id);
    panels[i].setAttribute("aria-labelledby", tab.id);
  });
  parent.append(content);
  const showStatus = (text) => { part.status.textContent = text; };
  let drawing = null, source = "draw";
  createBoard(part.board, { ...part, showStatus }, (pixels, isFinal) => {
    drawing = pixels;
    part.board.parentElement.classList.toggle("blank", !pixels);
    onDrawing(pixels, isFinal);
  });
  part.choose.addEventListener("click", () => part.file.click());
  part.file.addEventListener("change", () => {
    if (part.file.files.length) onPhotos([...part.file.files]);
    part.file.value = "";
  });
  acceptDrops(part.drop, onPhotos);
  const camera = createCamera(part.camera);

  async function startCamera() {
    try {
      await camera.start();
      showStatus("");
    } catch {
      showStatus("The camera is not available. Allow this page to use it, or choose photos.");
    }
  }
  async function shoot() {
    if (!camera.isOn()) await startCamera();
    return camera.isOn() ? camera.shoot() : null;
  }
  part.shoot.addEventListener("click", async () => {
    const photo = await shoot();
    if (photo) onPhotos([photo]);
  });
  createTabs(tabs, (tab) => {
    source = tab.dataset.source;
    showStatus("");
    if (source === "camera") startCamera();
    else camera.stop();
    onSource(source);
  });

  return {
    showStatus,
    shoot,
    stop: camera.stop,
    getSource: () => source,
    chooseFiles: () => part.choose.click(),
    /** Returns the drawing's tile, or null, and clears the board. */
    takeDrawing() {
      const taken = drawing;
      if (taken) part.clear.click();
      return taken;
    },
  };
}
