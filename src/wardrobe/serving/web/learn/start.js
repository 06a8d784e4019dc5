// The form that starts a training: data, recipe, knobs.

import { post, request } from "../api.js";
import { createElement } from "../elements.js";
import { createClasses } from "./classes.js";

const OWN = "classes", FOLDER = "folder";
const KNOBS = { // fields of a recipe: label, what it does in a sentence
  epochs: ["Epochs", "How often the network sees every training image."],
  learning_rate: ["Learning rate", "How far the weights move at each step. Too small is slow; too large never settles."],
  batch_size: ["Batch size", "Images per step. The weights move once after each batch."],
  conv_filters: ["Filters", "How many patterns each convolution looks for, first layer to last."],
  dropout: ["Dropout", "The fraction of values hidden at random, so that the network does not rely on a few."],
  alternating_flip: ["Mirror images", "Shows each image mirrored in every other epoch."],
  max_shift: ["Shift images", "Moves each image at random by up to this many pixels."],
  erase_probability: ["Erase a part", "How often a random rectangle of an image is blanked."],
};
const PRETRAINED = "Its layers already know edges and shapes. The last layer, which names the classes, starts from nothing.";
const LIMIT = ["Training images", "How many to use; empty for all. Fewer is faster, more is more accurate."];
const LIMITS = { synthetic: "6000" }; // at first: all 60,000 drawn garments take a minute before training begins

const format = (value) => (Array.isArray(value) ? value.join(",") : String(value));

/** Sets up the form; calls `onStarted(name)`. Returns {update(list)}, for the answer of GET /api/runs. */
export async function createStart(elements, onStarted) {
  const { form, recipe, summary, knobs, note, submit, notice } = elements;
  const { recipes, fields } = await request("api/recipes");
  let list = { allowed: true, training: null }, isStarting = false, classes = null;
  classes = createClasses({ source: elements.source, list: elements.classList, more: elements.more }, () => classes && update(list));
  for (const { name } of recipes) recipe.add(new Option(name));

  const isOwn = () => form.elements.data.value === OWN;
  const isPretrained = () => isOwn() && elements.pretrained.checked;
  const getRecipe = () => recipes.find((each) => each.name === (isPretrained() ? "photo" : recipe.value));

  function showKnobs() {
    const chosen = getRecipe();
    summary.textContent = isPretrained() ? PRETRAINED : chosen.summary;
    knobs.replaceChildren(...(isOwn() ? [] : [createKnob("limit", LIMIT, { type: "integer", minimum: 1 }, LIMITS[form.elements.data.value] ?? "")]));
    for (const [name, words] of Object.entries(KNOBS)) {
      const field = fields.find((each) => each.name === name);
      // With the pretrained network, its layers are fixed, and the command chooses the other values.
      if (isPretrained() ? name !== "epochs" : name === "conv_filters" && !chosen.fields[name].length) continue;
      knobs.append(createKnob(name, words, field, isPretrained() ? "" : format(chosen.fields[name])));
    }
  }

  function showData() {
    elements.classes.hidden = elements.pretrainedField.hidden = !isOwn();
    elements.folderField.hidden = form.elements.data.value !== FOLDER;
    elements.recipeField.hidden = isPretrained();
    if (!isOwn()) classes.stopCamera();
    showKnobs();
    update(list);
  }

  /** Returns what keeps a training from starting, as a sentence, or "". */
  function describeObstacle() {
    if (list.training) return `${list.training} is in training. Stop it first, or wait until it is done.`;
    if (isOwn()) return classes.describeMissing();
    return form.elements.data.value === FOLDER && !form.elements.folder.value.trim() ? "Give the path of the folder." : "";
  }

  function update(changed) {
    list = changed;
    notice.hidden = list.allowed;
    form.hidden = !list.allowed;
    elements.reason.textContent = list.reason ?? "";
    const obstacle = describeObstacle();
    submit.disabled = isStarting || Boolean(obstacle);
    note.textContent = obstacle;
  }

  form.addEventListener("input", () => update(list));
  form.addEventListener("change", (event) => {
    if (event.target.name === "data") showData();
    if (event.target === recipe || event.target === elements.pretrained) showData();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    isStarting = submit.disabled = true;
    note.textContent = "Starting …";
    let problem = "";
    try {
      const body = { ...readForm(form, getRecipe(), isPretrained()), ...(isOwn() && { classes: classes.toJson() }) };
      const { name } = await post("api/runs", JSON.stringify(body), "application/json");
      classes.markKept();
      onStarted(name);
    } catch (error) {
      problem = error.message;
    }
    isStarting = false;
    update(list);
    note.textContent ||= problem;
  });
  showData();
  return { update };
}

/** Returns the body of POST /api/runs: only the settings that differ from the recipe's. */
function readForm(form, recipe, isPretrained) {
  const { data, folder } = form.elements, settings = {}, limit = form.elements.limit?.value;
  for (const name of Object.keys(KNOBS)) {
    const input = form.elements[name];
    if (!input) continue;
    const value = input.type === "checkbox" ? String(input.checked) : input.value.trim();
    if (value && value !== format(recipe.fields[name])) settings[name] = value;
  }
  return {
    recipe: isPretrained ? null : recipe.name,
    data: data.value === OWN ? null : data.value === FOLDER ? folder.value.trim() : data.value,
    settings,
    ...(limit && { limit: Number(limit) }),
    ...(isPretrained && { start_from: "photo" }),
  };
}

/** Creates a field of the form: label, input of its type and range, sentence. */
function createKnob(name, [title, sentence], { type, minimum, maximum }, value) {
  const knob = createElement("div", "knob"), label = createElement("label", "", title), input = document.createElement("input"), help = createElement("p", "soft", sentence);
  input.name = name;
  input.id = `knob-${name}`;
  label.htmlFor = input.id;
  help.id = `${input.id}-help`;
  input.setAttribute("aria-describedby", help.id);
  if (type === "boolean") {
    input.type = "checkbox";
    input.checked = value === "true";
  } else if (type === "integers") {
    input.type = "text";
    input.value = value;
  } else {
    input.type = "number";
    input.step = type === "integer" ? 1 : "any";
    if (minimum !== null) input.min = minimum;
    if (maximum != null) input.max = maximum;
    input.value = value;
    if (!value) input.placeholder = name === "limit" ? "all" : "20";
  }
  knob.append(label, input, help);
  return knob;
}
