// Answers as bars: one list per model, created once and then updated.

// "100.0 %" means all and "0.0 %" means none, as in wardrobe.percent.
export function formatPercent(fraction) {
  const text = (100 * fraction).toFixed(1);
  if (fraction < 1 && text === "100.0") return ">99.9 %";
  return fraction > 0 && text === "0.0" ? "<0.1 %" : `${text} %`;
}

/** Creates a model's block in `parent`; returns the function that shows an answer in it. */
export function createBlock(parent, model, hasTitle) {
  const title = document.createElement("p"), verdict = document.createElement("p"), reason = document.createElement("p");
  const list = document.createElement("ul"), container = document.createElement("div");
  title.className = "model";
  title.textContent = hasTitle ? model.name : "";
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
  container.append(title, verdict, list, reason);
  parent.append(container);

  return (answer) => {
    verdict.textContent = answer.not_sure ? "Not sure" : answer.label;
    verdict.classList.toggle("not-sure", answer.not_sure);
    list.classList.toggle("not-sure-bars", answer.not_sure);
    reason.textContent = answer.not_sure ? `${answer.reason}. Most likely: ${answer.label}, ${formatPercent(answer.confidence)}.` : "";
    for (const [name, { row, bar, probability }] of rows) {
      const value = answer.probabilities[name];
      bar.style.setProperty("--probability", value);
      probability.textContent = formatPercent(value);
      row.classList.toggle("first", name === answer.label);
    }
  };
}

/** Returns an answer as a sentence for a screen reader. */
export const describe = (answer) =>
  answer.not_sure ? `Not sure: ${answer.reason}. Most likely ${answer.label}.` : `${answer.label}, ${formatPercent(answer.confidence)}.`;
