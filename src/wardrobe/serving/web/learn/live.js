// One run while it learns, or afterwards: status, controls, curves, the numbers of each epoch.

import { formatPercent } from "../answer.js";
import { post, request } from "../api.js";
import { createElement } from "../elements.js";
import { createChart } from "./charts.js";
import { follow, hasEnded } from "./events.js";
import { createFrames } from "./frames.js";

export const STATUS = { starting: "starting", running: "in training", paused: "paused", interrupted: "stopped", done: "done", failed: "failed" };
const DATA = { synthetic: "drawn garments", "fashion-mnist": "Fashion-MNIST" };
const LONGEST_STAGE = 80; // letters; longer lines of the terminal say nothing to a learner
const MOST_LOSS = 3; // times the first loss: the highest that the axis shows
const LOWEST_ACCURACY = 0.9; // the accuracy axis never begins above

const isNumber = Number.isFinite; // a training that diverges has losses of null
const formatLoss = (value) => (isNumber(value) ? Number(value.toPrecision(3)).toString() : "–");
export const formatAccuracy = (value) => (isNumber(value) ? formatPercent(value).replace(".0 ", " ") : "–"); // "91 %" on an axis

/** Returns a run's title: recipe, and data or its first classes. */
export function formatTitle({ recipe_title: recipe, data, class_names: names }) {
  const classes = names.slice(0, 3).join(", ") + (names.length > 3 ? " …" : "");
  return `${recipe} on ${DATA[data] ?? classes}`;
}

/** Returns a duration in words: "40 s", "3 min", "2 h 5 min". */
export function formatSeconds(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Returns the loss axis; a loss that explodes leaves it, so that the rest stays readable. */
function findLossRange(values) {
  const first = values[0] ?? 1, sorted = values.toSorted((a, b) => a - b);
  return [0, roundUp(Math.min(sorted[Math.floor(0.99 * values.length)] ?? 1, MOST_LOSS * first))];
}
const findAccuracyRange = (values) => [values.reduce((lowest, each) => Math.min(lowest, Math.floor(10 * each) / 10), LOWEST_ACCURACY), 1];

/** Returns the next of 1, 1.5, 2, 3, 5, 7 times a power of ten. */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value || 1));
  return power * ([1, 1.5, 2, 3, 5, 7].find((each) => each * power >= value) ?? 10);
}

/** Returns what to do about a network that is no better than chance after an epoch, or "". */
export function advise({ history, details }) {
  const last = history.at(-1), classes = details.summary.class_names.length;
  const isLost = last && (!isNumber(last.val_loss) || (last.val_loss >= Math.log(classes) && last.val_accuracy < 1.5 / classes));
  return isLost ? `After epoch ${last.epoch} the network is no better than chance. The learning rate is probably too high: it is ${Number(last.learning_rate.toPrecision(3))}. Start a new training with a tenth of it.` : "";
}

/** Sets up the view of a run; calls `onDetails(details)` at first, after each epoch and after a change of status. */
export function createRunView(elements, onDetails) {
  const { charts, announcement, message } = elements;
  const lossChart = createChart(charts, { name: "Loss", format: formatLoss, findRange: findLossRange });
  const accuracyChart = createChart(charts, { name: "Accuracy", format: formatAccuracy, findRange: findAccuracyRange });
  let run = null; // what is shown

  const path = (rest = "") => `api/runs/${encodeURIComponent(run.name)}${rest}`;

  function draw() {
    const { steps, stepsPerEpoch, history, details } = run;
    const epochs = Math.max(details.summary.epochs ?? 0, history.length, 1), place = (epoch, step) => epoch - 1 + step / stepsPerEpoch;
    const changes = (details.info?.learning_rate_changes ?? []).map((each) => [place(each.epoch, each.step), `rate ${each.learning_rate}`]);
    for (const [chart, column, field] of [[lossChart, 3, "loss"], [accuracyChart, 4, "accuracy"]]) {
      const line = steps.length ? steps.map((row) => [place(row[0], row[1]), row[column]]) : history.map((row) => [row.epoch, row[field]]);
      const points = history.map((row) => [row.epoch, row[`val_${field}`]]), keepNumbers = (values) => values.filter(([, value]) => isNumber(value));
      chart({ line: keepNumbers(line), points: keepNumbers(points), epochs, changes: stepsPerEpoch ? changes : [] });
    }
    const advice = advise(run);
    if (elements.advice.textContent !== advice) elements.advice.textContent = advice; // said once
    showProgress();
  }

  function showProgress() {
    const { steps, stepsPerEpoch, status, details, history } = run, { epochs, seconds } = details.summary;
    elements.progress.hidden = !epochs; // a training that starts has no run.json yet
    if (!epochs) {
      elements.progressText.textContent = "";
      return;
    }
    const [epoch, step] = steps.at(-1) ?? [history.length, stepsPerEpoch], last = history.at(-1);
    const done = status === "done" ? 1 : steps.length ? (epoch - 1 + step / stepsPerEpoch) / epochs : history.length / epochs;
    const isActive = !hasEnded(status), isLearning = isActive && history.length < epochs;
    elements.progress.value = done || 0;
    const parts = [
      isLearning && epoch ? `Epoch ${epoch} of ${epochs}` : `${history.length} of ${epochs} epochs`,
      isLearning && steps.length && `step ${step.toLocaleString("en")} of ${stepsPerEpoch.toLocaleString("en")}`,
      isLearning && status === "running" && isNumber(run.secondsLeft) && `about ${formatSeconds(run.secondsLeft)} left`,
      !isActive && seconds && `trained for ${formatSeconds(seconds)}`,
      last && `validation accuracy ${formatAccuracy(last.val_accuracy)}`,
      status === "done" && details.metrics && `${details.metrics.split} accuracy ${formatAccuracy(details.metrics.accuracy)} of ${details.metrics.n.toLocaleString("en")} images`,
    ];
    elements.progressText.textContent = parts.filter(Boolean).join(" · ");
  }

  function showHistory(rows) {
    const body = rows.map((row) => {
      const line = document.createElement("tr");
      const cells = [row.epoch, formatLoss(row.loss), formatAccuracy(row.accuracy), formatLoss(row.val_loss), formatAccuracy(row.val_accuracy), Number(row.learning_rate.toPrecision(3))];
      line.append(...cells.map((cell) => createElement("td", "", String(cell))));
      return line;
    });
    elements.history.replaceChildren(...body);
    elements.historyDetails.hidden = !rows.length;
  }

  function showStatus({ status, learning_rate: rate, seconds_left: secondsLeft, message: text, stage }) {
    const isActive = !hasEnded(status), hasChanged = run.status !== status;
    Object.assign(run, { status, secondsLeft });
    elements.badge.textContent = STATUS[status] ?? status;
    // While it learns, the curves say more than its last line in the terminal.
    const isLearning = run.steps.length && run.history.length < run.details.summary.epochs;
    elements.stage.textContent = isActive && !isLearning && stage?.length < LONGEST_STAGE ? `${stage} …` : "";
    elements.badge.dataset.status = status;
    const focused = document.activeElement;
    elements.pause.hidden = status !== "running";
    elements.continue.hidden = status !== "paused";
    elements.stop.hidden = !isActive;
    elements.rateForm.hidden = !isActive || status === "starting"; // it has no rate yet
    elements.resume.hidden = status !== "interrupted";
    // The focus moves along to what can be done next, for the keyboard.
    if (focused.hidden) [elements.pause, elements.continue, elements.resume].find((each) => !each.hidden)?.focus();
    if (document.activeElement !== elements.rate && rate) elements.rate.value = Number(rate.toPrecision(4));
    if (text) message.textContent = text;
    if (hasChanged && run.hasConnected) announcement.textContent = `The training is ${STATUS[status] ?? status}.`;
    showProgress();
  }

  async function loadDetails() {
    const current = run, details = await request(path());
    if (current !== run) return;
    run.details = details;
    showFacts(elements, details);
    draw();
    onDetails(details);
  }

  const handlers = {
    steps({ rows, steps_per_epoch: stepsPerEpoch }) {
      run.stepsPerEpoch = stepsPerEpoch;
      // A resumed run repeats an epoch: its rows replace those from there on.
      if (rows.length && run.steps.length && !isAfter(rows[0], run.steps.at(-1))) run.steps = run.steps.filter((row) => isAfter(rows[0], row));
      run.steps.push(...rows);
      draw();
    },
    history({ rows }) {
      const isNew = rows.length > run.history.length && run.hasConnected, last = rows.at(-1);
      run.history = rows;
      showHistory(rows);
      draw();
      if (!isNew) return;
      announcement.textContent = `Epoch ${last.epoch} of ${run.details.summary.epochs}: validation accuracy ${formatAccuracy(last.val_accuracy)}.`;
      loadDetails().catch(showError);
    },
    status(data) {
      const hasChanged = run.status !== data.status;
      showStatus(data);
      if (hasChanged) loadDetails().catch(showError);
    },
    frame: (data) => run.showFrame(data),
  };

  function showError(error) {
    message.textContent = error.message === "Failed to fetch" || error.message === "network error" ? "The server does not answer. Trying again …" : error.message;
  }

  async function followRun() {
    const current = run;
    await follow(path("/events"), run.abort.signal, {
      onConnect() { current.steps = []; current.hasConnected = false; },
      onEvent(name, data) {
        if (message.textContent.startsWith("The server does not")) message.textContent = "";
        handlers[name]?.(data);
        if (name === "status") current.hasConnected = true;
      },
      onLost: showError,
    });
    current.isFollowed = false;
    if (current === run) loadDetails().catch(showError);
  }

  async function control(body) {
    message.textContent = "";
    try {
      const { status } = await post(path("/control"), JSON.stringify(body), "application/json");
      if (body.action === "resume") reopen();
      else showStatus({ ...run, status, seconds_left: run.secondsLeft });
      if (body.learning_rate) message.textContent = `The learning rate is ${body.learning_rate} from the next steps on.`;
    } catch (error) {
      showError(error);
    }
  }
  for (const action of ["pause", "continue", "stop", "resume"]) {
    elements[action].addEventListener("click", () => control({ action }));
  }
  elements.rateForm.addEventListener("submit", (event) => {
    event.preventDefault();
    control({ learning_rate: Number(elements.rate.value) });
  });

  function reopen() {
    const { name } = run;
    close();
    open(name).catch(showError);
  }

  function close() {
    run?.abort.abort();
    run = null;
  }

  async function open(name) {
    close();
    const abort = new AbortController();
    const current = (run = { name, abort, steps: [], stepsPerEpoch: 0, history: [], status: null, isFollowed: true });
    message.textContent = announcement.textContent = "";
    const details = await request(path());
    if (run !== current) return;
    Object.assign(run, { details, history: details.history, showFrame: createFrames(elements.frames, name, () => current.details.summary.class_names, abort.signal) });
    showFacts(elements, details);
    showHistory(details.history);
    showStatus({ status: details.summary.status, learning_rate: details.info?.recipe.learning_rate, message: details.message });
    draw();
    onDetails(details);
    followRun();
  }

  return {
    open,
    close,
    /** Follows again when the list says that the run is in training again, such as after a resume in a terminal. */
    update(summary) {
      if (run?.details && summary.name === run.name && !run.isFollowed && !hasEnded(summary.status)) reopen();
    },
  };
}

/** Returns whether a row of steps comes after another. */
const isAfter = (row, previous) => row[0] > previous[0] || (row[0] === previous[0] && row[1] > previous[1]);

function showFacts(elements, { summary }) {
  elements.title.textContent = formatTitle(summary);
  const facts = [summary.parameters && `${summary.parameters.toLocaleString("en")} parameters`, summary.class_names.length > 0 && `${summary.class_names.length} classes`, `seed ${summary.seed}`, `folder runs/${summary.name}`];
  elements.facts.textContent = facts.filter(Boolean).join(" · ");
}
