// Own classes: two to twelve names, and the pictures of each as the 28×28 tiles that the network sees.

import { grey, paint } from "../colours.js";
import { createElement } from "../elements.js";
import { acceptDrops, createPictures, makeTile } from "./pictures.js";

const MIN_CLASSES = 2, MAX_CLASSES = 12;
const MIN_PICTURES = 3; // of a class: one each for training, validation and test
const ADD = { draw: "Add the drawing", photo: "Add photos", camera: "Take a picture" }; // by source

/** Creates the editor; calls `onChange()` after each change. */
export function createClasses({ source, list, more }, onChange) {
  const classes = [];
  let isKept = true; // whether a run folder has the pictures, or there are none
  let target = null; // the class that chosen files belong to
  const pictures = createPictures(source, "own", {
    onPhotos: (photos) => addPhotos(target ?? classes[0], photos),
    onSource(selected) {
      for (const each of classes) each.add.textContent = ADD[selected];
      update();
    },
  });

  function addTile(kind, tile) {
    kind.tiles.push(tile);
    isKept = false;
    const button = createElement("button", "tile"), canvas = document.createElement("canvas");
    button.type = "button";
    paint(canvas, tile, 28, 28, grey);
    button.append(canvas);
    button.addEventListener("click", () => {
      const next = button.nextElementSibling ?? button.previousElementSibling ?? kind.add;
      kind.tiles.splice(kind.tiles.indexOf(tile), 1);
      button.remove();
      next.focus();
      update();
    });
    kind.grid.append(button);
    update();
  }

  async function addPhotos(kind, photos) {
    const failed = [];
    for (const [number, photo] of photos.entries()) {
      if (photos.length > 1) pictures.showStatus(`Reading photo ${number + 1} of ${photos.length} …`);
      try {
        addTile(kind, await makeTile(photo));
      } catch (error) {
        failed.push(`${photo.name ?? "The picture"}: ${error.message}.`);
      }
    }
    pictures.showStatus(failed.join(" "));
  }

  async function add(kind) {
    const selected = pictures.getSource();
    target = kind;
    if (selected === "photo") return pictures.chooseFiles();
    if (selected === "camera") {
      const photo = await pictures.shoot();
      return photo && addPhotos(kind, [photo]);
    }
    const drawing = pictures.takeDrawing();
    pictures.showStatus(drawing ? "" : "The drawing board is empty. Draw something first.");
    return drawing && addTile(kind, drawing);
  }

  function addClass() {
    const item = createElement("li", "class"), head = createElement("div", "class-head"), name = document.createElement("input");
    const remove = createElement("button", "plain", "×"), grid = createElement("div", "pictures"), foot = createElement("div", "row");
    const button = createElement("button", "", ADD[pictures.getSource()]), count = createElement("span", "soft");
    const kind = { item, name, remove, grid, count, add: button, tiles: [] };
    for (const each of [remove, button]) each.type = "button";
    name.placeholder = "Name: cat";
    name.maxLength = 40;
    name.autocomplete = "off";
    name.addEventListener("input", update);
    button.addEventListener("click", () => add(kind));
    remove.addEventListener("click", () => {
      classes.splice(classes.indexOf(kind), 1);
      item.remove();
      more.focus();
      update();
    });
    acceptDrops(item, (photos) => addPhotos(kind, photos));
    head.append(name, remove);
    foot.append(button, count);
    item.append(head, grid, foot);
    list.append(item);
    classes.push(kind);
    update();
    return kind;
  }

  function update() {
    classes.forEach((kind, number) => {
      const title = getName(kind) || `class ${number + 1}`, missing = MIN_PICTURES - kind.tiles.length;
      kind.name.setAttribute("aria-label", `Name of class ${number + 1}`);
      kind.remove.setAttribute("aria-label", `Remove ${title}`);
      kind.remove.hidden = classes.length <= MIN_CLASSES;
      kind.add.setAttribute("aria-label", `${kind.add.textContent}: ${title}`);
      kind.count.textContent = missing > 0 ? `${missing} more needed` : `${kind.tiles.length} pictures`;
      [...kind.grid.children].forEach((each, i) => each.setAttribute("aria-label", `Remove picture ${i + 1} of ${title}`));
    });
    more.hidden = classes.length >= MAX_CLASSES;
    onChange();
  }

  more.addEventListener("click", () => addClass().name.focus());
  addEventListener("beforeunload", (event) => {
    if (!isKept) event.preventDefault(); // the browser asks before it leaves the page
  });
  for (let i = 0; i < MIN_CLASSES; i++) addClass();

  return {
    stopCamera: pictures.stop,
    markKept() { isKept = true; },
    /** Returns what is missing before a training can start, as a sentence, or "". */
    describeMissing() {
      const names = classes.map(getName), few = classes.find((kind) => kind.tiles.length < MIN_PICTURES);
      if (names.some((name) => !name)) return "Give each class a name.";
      if (new Set(names).size < names.length) return "Two classes have the same name; give each its own.";
      return few ? `Give ${getName(few)} at least ${MIN_PICTURES} pictures; with 10 or more it learns better.` : "";
    },
    /** Returns the classes as the server takes them. */
    toJson: () => classes.map((kind) => ({ name: getName(kind), images: kind.tiles.map((tile) => btoa(String.fromCharCode(...tile))) })),
  };
}

const getName = (kind) => kind.name.value.trim().normalize("NFC");
