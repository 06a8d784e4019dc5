// The page Learn: the list of runs, and beside it a new training or one run.

import { carryToken, request } from "../api.js";
import { createElement } from "../elements.js";
import { createExplorer } from "../explore/epochs.js";
import { hasEnded } from "./events.js";
import { createRunView, formatAccuracy, formatTitle, STATUS } from "./live.js";
import { createStart } from "./start.js";
import * as state from "./state.js";
import { createTakeAlong, createTry } from "./use.js";

const LIST_SECONDS = 4; // between two looks for trainings that were started elsewhere

const byId = (id) => document.getElementById(id);
/** Returns the elements with these ids, by their names in `names`: {key: id}. */
const collect = (names) => Object.fromEntries(Object.entries(names).map(([key, id]) => [key, byId(id)]));

let list = { runs: [], training: null, allowed: true }, explorer = null, explored = null;
carryToken(document.querySelectorAll("header nav a"));

const tryIt = createTry(collect({ section: "try", source: "try-source", answer: "try-answer", announcement: "try-announcement", epochText: "try-epoch", tile: "try-tile", figure: "try-tile-figure" }));
const takeAlong = createTakeAlong({
  ...collect({ section: "take", command: "command", python: "python", status: "take-status" }),
  copies: document.querySelectorAll("[data-copies]"),
  downloads: document.querySelectorAll("[data-file]"),
});
const runView = createRunView({
  ...collect({
    title: "run-title", facts: "run-facts", badge: "badge", progress: "progress", progressText: "progress-text", charts: "charts", message: "run-message",
    announcement: "announcement", advice: "advice", stage: "stage", pause: "pause", continue: "continue", stop: "stop", resume: "resume", rateForm: "rate-form", rate: "rate",
    history: "history", historyDetails: "history-details",
  }),
  frames: collect({ section: "watch", filters: "filters", caption: "watch-caption", list: "images" }),
}, showDetails);

/** Shows a run's details below the live view; the explorer appears with the first snapshot. */
function showDetails(details) {
  tryIt.show(details);
  takeAlong(details);
  byId("go-try").hidden = details?.summary.status !== "done" || !details.epochs.length;
  if (!details?.epochs.length || explored !== details.summary.name) {
    explorer?.close();
    byId("explorer").replaceChildren();
    explorer = explored = null;
  }
  if (explorer) explorer.update(details);
  else if (details?.epochs.length) {
    explored = details.summary.name;
    explorer = createExplorer(byId("explorer"), { details, runs: list.runs, state });
  }
}

function showList() {
  const { run } = state.read();
  byId("new-link").href = state.formatRun(null);
  const items = list.runs.map((summary) => {
    const item = document.createElement("li"), link = createElement("a", "run-link"), title = createElement("span", "run-label", formatTitle(summary));
    const parts = [hasEnded(summary.status) && summary.accuracy !== null ? formatAccuracy(summary.accuracy) : STATUS[summary.status], summary.epochs && `${summary.epochs_done} of ${summary.epochs} epochs`, formatStarted(summary.started)];
    link.href = state.formatRun(summary.name);
    link.title = summary.name;
    link.dataset.status = summary.status;
    if (summary.name === run) link.setAttribute("aria-current", "page");
    link.append(title, createElement("span", "soft", parts.filter(Boolean).join(" · ")));
    item.append(link);
    return item;
  });
  const focused = document.activeElement?.closest?.("#run-list a")?.href;
  byId("run-list").replaceChildren(...items);
  if (focused) [...byId("run-list").querySelectorAll("a")].find((link) => link.href === focused)?.focus();
  byId("no-runs").hidden = items.length > 0;
  byId("skipped").textContent = (list.skipped ?? []).map(({ name, error }) => `${name}: ${error}`).join(" ");
}

function formatStarted(text) {
  const date = new Date(text), isToday = date.toDateString() === new Date().toDateString();
  return date.toLocaleString("en", isToday ? { timeStyle: "short", hour12: false } : { dateStyle: "medium" });
}

async function refresh() {
  list = await request("api/runs");
  showList();
  start?.update(list);
  const shown = list.runs.find((each) => each.name === state.read().run);
  if (shown) runView.update(shown);
}

/** Shows what the address says; `isMoved`: a person came here by a link, so the focus moves along. */
async function show(isMoved) {
  const { run } = state.read();
  byId("new").hidden = Boolean(run);
  byId("run").hidden = !run;
  showList();
  showDetails(null);
  runView.close();
  tryIt.stop();
  if (isMoved) {
    byId(run ? "run" : "new").scrollIntoView();
    byId(run ? "run" : "new").focus({ preventScroll: true });
  }
  if (!run) return;
  try {
    await runView.open(run);
  } catch (error) {
    byId("run-message").textContent = error.message;
  }
}

function openRun(name) {
  location.hash = state.formatRun(name);
  refresh();
}

let start = null;
await refresh();
start = await createStart({
  ...collect({
    form: "form", recipe: "recipe", summary: "recipe-summary", knobs: "knobs", note: "start-note", submit: "start", notice: "not-allowed", reason: "reason", source: "own-source",
    classList: "class-list", more: "more-classes", classes: "own-classes", pretrained: "pretrained", pretrainedField: "pretrained-field", folderField: "folder-field", recipeField: "recipe-field",
  }),
}, openRun);
start.update(list);
if (!state.read().run && list.training) history.replaceState(null, "", state.formatRun(list.training));
state.subscribe(() => show(true));
byId("go-try").addEventListener("click", () => {
  byId("try").scrollIntoView();
  byId("try").focus({ preventScroll: true });
});
byId("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address keeps the state
  byId(state.read().run ? "run" : "new").focus();
});
setInterval(() => document.hidden || refresh().catch(() => {}), 1000 * LIST_SECONDS);
await show(false);
document.body.dataset.ready = "true";
