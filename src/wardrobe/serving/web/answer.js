// Answers as bars: one list per model, created once and then updated.

// "100.0 %" means all and "0.0 %" means none, as in wardrobe.percent.
export function formatPercent(fraction, digits = 1) {
  const text = (100 * fraction).toFixed(digits), step = 10 ** -digits;
  if (fraction < 1 && Number(text) === 100) return `>${(100 - step).toFixed(digits)} %`;
  return fraction > 0 && Number(text) === 0 ? `<${step.toFixed(digits)} %` : `${text} %`;
}

const MAJORITY = 0.5; // a class with less is not the answer alone, as in wardrobe.inference.classifier

/** Returns an answer in words: the class, the two most likely classes, or why the image has no class. */
function write({ label, confidence, probabilities, not_sure: isNone, reason }) {
  if (isNone) return reason[0].toUpperCase() + reason.split(" (")[0].slice(1); // without the score
  if (confidence >= MAJORITY) return label;
  const [first, second] = Object.keys(probabilities).sort((one, other) => probabilities[other] - probabilities[one]);
  return `Uncertain between ${first} and ${second}`;
}

/** Creates a model's block in `parent`; returns the function that shows an answer in it. */
export function createBlock(parent, model, hasTitle) {
  const title = document.createElement("p"), verdict = document.createElement("p"), reason = document.createElement("p");
  const list = document.createElement("ul"), container = document.createElement("div");
  title.className = "model";
  title.textContent = hasTitle ? model.title : "";
  verdict.className = "verdict";
  verdict.textContent = "…";
  reason.className = "reason";
  list.className = "bars";
  const rows = new Map(model.class_names.map((name) => {
    const row = document.createElement("li"), label = document.createElement("span"), track = document.createElement("span");
    const bar = document.createElement("span"), probability = document.createElement("span");
    label.textContent = name;
    track.className = "track";
    bar.className = "bar";
    probability.className = "probability";
    track.append(bar);
    row.append(label, track, probability);
    list.append(row);
    return [name, { row, bar, probability }];
  }));
  container.className = "block";
  container.append(title, verdict, list, reason);
  parent.append(container);

  return (answer) => {
    verdict.textContent = write(answer);
    verdict.classList.toggle("not-sure", verdict.textContent !== answer.label);
    list.classList.toggle("not-sure-bars", answer.not_sure);
    const score = /\((.*)\)/.exec(answer.reason)?.[1];
    reason.textContent = answer.not_sure ? `${score ? `${score}. ` : ""}The bars compare the classes with one another only.` : "";
    for (const [name, { row, bar, probability }] of rows) {
      const value = answer.probabilities[name];
      bar.style.setProperty("--probability", value);
      probability.textContent = answer.not_sure ? "" : formatPercent(value); // it would contradict the verdict
      row.classList.toggle("first", name === answer.label);
    }
  };
}

/** Returns an answer as a sentence for a screen reader. */
export const describe = (answer) => (answer.not_sure ? `${write(answer)}.` : `${write(answer)}, ${formatPercent(answer.confidence)}.`);
