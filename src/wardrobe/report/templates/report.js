// Lets the confusion matrix and the map of the last layer show the images behind them.
// Without JavaScript, both are plain figures. The page needs no network: the images are in it.

const SIDE = 28; // pixels of a tile
const REACH = 24; // CSS pixels between the pointer and the point that it selects
const DIRECTIONS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const sheet = create("dialog");
sheet.setAttribute("aria-labelledby", "sheet-title");
sheet.addEventListener("click", (event) => event.target === sheet && sheet.close()); // the backdrop
document.body.append(sheet);
for (const source of document.querySelectorAll("script[type='application/json']")) activate(source);

/** Puts the buttons or the points of a figure over its image. */
async function activate(source) {
  const data = JSON.parse(source.textContent), section = source.closest("section");
  data.sprite = new Image();
  data.sprite.src = `data:image/png;base64,${data.png}`;
  await data.sprite.decode();
  const layer = create("div", { className: "layer" });
  const hint = create("p", { className: "soft hint" });
  section.querySelector(".figure").append(layer);
  section.querySelector(".wide").before(hint);
  if (data.points) showPoints(data, layer, hint);
  else showCells(data, layer, hint, section);
}

/** Makes each cell of the confusion matrix a button that lists its images below the figure. */
function showCells(data, layer, hint, section) {
  hint.textContent = "Select a cell to see its images, then an image to see its probabilities. Arrow keys move between cells.";
  const answer = create("div", { className: "answer" }), heading = create("p", { className: "heading" }), note = create("p", { className: "soft" });
  const list = create("ul", { className: "images" });
  heading.setAttribute("role", "status");
  answer.append(heading, note, list);
  section.append(answer);
  const [[left, top], [right, bottom]] = data.corners, count = data.classes.length;
  const places = [], buttons = [];
  for (const [cell, images] of groupByCell(data)) {
    const actual = Math.floor(cell / count), predicted = cell % count, number = data.counts[actual][predicted];
    const title = `${number.toLocaleString("en")} ${data.split} image${number === 1 ? "" : "s"}: ${describe(data, images[0])}`;
    const button = create("button", { type: "button", tabIndex: buttons.length ? -1 : 0 });
    button.setAttribute("aria-label", title);
    button.dataset.cell = `${actual},${predicted}`;
    const width = (right - left) / count, height = (bottom - top) / count;
    place(button, left + width * predicted, top + height * actual, width, height);
    places.push([left + width * (predicted + 0.5), top + height * (actual + 0.5)]);
    buttons.push(button);
    button.addEventListener("click", () => {
      buttons.forEach((each) => each.setAttribute("aria-pressed", each === button));
      heading.textContent = title;
      note.textContent = images.length < number ? `${images.length.toLocaleString("en")} of them, the most confident first.` : "The most confident first.";
      list.replaceChildren(...images.map((image) => create("li", {}, createImageButton(data, image))));
    });
  }
  layer.setAttribute("role", "group");
  layer.setAttribute("aria-label", "Cells of the confusion matrix");
  layer.append(...buttons);
  layer.addEventListener("keydown", (event) => {
    const current = buttons.indexOf(document.activeElement);
    if (!DIRECTIONS[event.key] || current < 0) return;
    event.preventDefault();
    const next = buttons[findNext(places, current, event.key)];
    buttons[current].tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
}

/** Shows the image of the point under the pointer; each panel of the figure has every point. */
function showPoints(data, layer, hint) {
  hint.textContent = "Point at the map to see an image, and select it to see its probabilities. Arrow keys move from image to image.";
  const points = data.points.flat(), tip = create("output", { className: "tip", hidden: true });
  const marker = create("span", { className: "marker", hidden: true });
  let current = 0;
  layer.tabIndex = 0;
  layer.setAttribute("role", "application");
  layer.setAttribute("aria-label", "Map of images. Arrow keys move from image to image, Enter opens one.");
  layer.append(marker, tip);
  const hide = () => (tip.hidden = marker.hidden = true);
  const imageOf = (point) => point % data.index.length;
  function select(point) {
    if (!tip.hidden && point === current) return;
    current = point;
    const [x, y] = points[point], image = imageOf(point);
    tip.replaceChildren(drawTile(data, image), create("span", { textContent: describe(data, image) }));
    tip.hidden = marker.hidden = false;
    for (const each of [tip, marker]) place(each, x, y);
    tip.classList.toggle("before", x > 0.5);
    tip.classList.toggle("above", y > 0.5);
  }
  function findUnder(event) {
    const box = layer.getBoundingClientRect();
    const distances = points.map(([x, y]) => Math.hypot(event.clientX - box.left - x * box.width, event.clientY - box.top - y * box.height));
    const least = Math.min(...distances);
    return least <= REACH ? distances.indexOf(least) : -1;
  }
  layer.addEventListener("pointermove", (event) => {
    const point = findUnder(event);
    if (point < 0) hide();
    else select(point);
  });
  layer.addEventListener("pointerleave", hide);
  layer.addEventListener("focus", () => layer.matches(":focus-visible") && select(current));
  layer.addEventListener("blur", hide);
  layer.addEventListener("click", (event) => {
    const point = findUnder(event);
    if (point >= 0) openSheet(data, imageOf(point));
  });
  layer.addEventListener("keydown", (event) => {
    if (event.key === "Escape") hide();
    if (event.key !== "Enter" && !DIRECTIONS[event.key]) return;
    event.preventDefault(); // Enter would also press the button that the sheet focuses
    if (event.key === "Enter") openSheet(data, imageOf(current));
    else select(findNext(points, current, event.key));
  });
}

/** Opens the sheet of an image: what the network saw, its probabilities, the images nearest to it. */
function openSheet(data, image) {
  const actual = data.actual[image], predicted = data.predicted[image];
  const close = create("button", { type: "button", className: "close", textContent: "Close" });
  close.addEventListener("click", () => sheet.close());
  const title = create("h2", { id: "sheet-title", textContent: describe(data, image) });
  const seen = createFigure(`What the network saw: ${SIDE} × ${SIDE} grey pixels${data.levels < 256 ? `, here in ${data.levels} grey levels` : ""}`, drawTile(data, image));
  const bars = create("ul", { className: "bars" }, ...data.classes.map((name, each) => createBar(data, image, each, name)));
  const nearest = [...new Set([predicted, actual])].map((each) => {
    const tiles = data.nearest[each === predicted ? "predicted" : "actual"][image].filter((tile) => tile >= 0);
    return createFigure(`${data.classes[each]}, ${each === predicted ? "the predicted class" : "the actual class"}`, ...tiles.map((tile) => drawTile(data, tile)));
  });
  const file = `${data.split}-${data.index[image]}.png`;
  const save = create("a", { href: drawTile(data, image).toDataURL(), download: file, textContent: "save the image" });
  const command = create("code", { textContent: `${document.body.dataset.explain} ${file}` });
  sheet.replaceChildren(
    close, title,
    create("p", { className: "soft", textContent: `Image ${data.index[image].toLocaleString("en")} of the ${data.split} split, counted from 0.` }),
    create("div", { className: "columns" }, seen, bars),
    create("h3", { textContent: "Nearest images of correct predictions" }),
    create("p", { className: "soft", textContent: `Of the images in this report, those with the most similar ${data.similar}.` }),
    create("div", { className: "nearest" }, ...nearest),
  );
  if (data.levels === 256) sheet.append(create("p", {}, "For feature maps and heat maps, ", save, " and run ", command));
  sheet.showModal();
}

function createBar(data, image, each, name) {
  const probability = data.probabilities[image][each], bar = create("span", { className: "bar" }, create("span"));
  bar.firstChild.style.width = `${probability / 100}%`;
  const roles = [each === data.predicted[image] && "predicted", each === data.actual[image] && "actual"].filter(Boolean);
  const label = create("span", {}, create("bdi", { textContent: name }), roles.length ? ` (${roles.join(", ")})` : "");
  return create("li", { className: roles.at(-1) ?? "" }, label, bar, create("span", { textContent: formatPercent(probability) }));
}

function createImageButton(data, image) {
  const text = formatPercent(data.probabilities[image][data.predicted[image]]);
  const button = create("button", { type: "button" }, drawTile(data, image), create("span", { textContent: text }));
  button.setAttribute("aria-label", `Image ${data.index[image]}: ${describe(data, image)}, ${text}`);
  button.addEventListener("click", () => openSheet(data, image));
  return button;
}

function createFigure(text, ...content) {
  return create("figure", {}, create("div", {}, ...content), create("figcaption", { textContent: text }));
}

function describe(data, image) {
  const actual = data.classes[data.actual[image]], predicted = data.classes[data.predicted[image]];
  return actual === predicted ? `${actual}, predicted correctly` : `${actual}, predicted as ${predicted}`;
}

/** Returns a canvas with one tile of the data's PNG. */
function drawTile(data, tile) {
  const canvas = create("canvas", { width: SIDE, height: SIDE });
  const x = (tile % data.columns) * SIDE, y = Math.floor(tile / data.columns) * SIDE;
  canvas.getContext("2d").drawImage(data.sprite, x, y, SIDE, SIDE, 0, 0, SIDE, SIDE);
  canvas.dataset.tile = tile;
  return canvas;
}

/** Returns [cell, its images] for each cell that has images; cell = actual × classes + predicted. */
function groupByCell(data) {
  const cells = new Map();
  data.actual.forEach((actual, image) => {
    const cell = actual * data.classes.length + data.predicted[image];
    if (!cells.has(cell)) cells.set(cell, []);
    cells.get(cell).push(image);
  });
  return cells;
}

/** Returns the place nearest to `from` in the direction of an arrow key, or `from`. */
function findNext(places, from, key) {
  const [dx, dy] = DIRECTIONS[key], [x, y] = places[from];
  let next = from, least = Infinity;
  places.forEach(([otherX, otherY], other) => {
    const along = (otherX - x) * dx + (otherY - y) * dy, across = Math.abs((otherX - x) * dy + (otherY - y) * dx);
    if (along > 1e-6 && across <= along && along + 3 * across < least) {
      next = other;
      least = along + 3 * across;
    }
  });
  return next;
}

/** Writes a probability in 0.01 % as Python's `format_percent` does: only all is 100 %. */
function formatPercent(probability) {
  const text = (probability / 100).toFixed(1);
  if (text === "100.0" && probability < 10_000) return ">99.9 %";
  return text === "0.0" && probability > 0 ? "<0.1 %" : `${text} %`;
}

/** Positions an element over a figure, in fractions of the figure. */
function place(element, x, y, width, height) {
  const sides = { left: x, top: y, width, height };
  for (const [side, fraction] of Object.entries(sides)) if (fraction !== undefined) element.style[side] = `${100 * fraction}%`;
}

function create(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}
