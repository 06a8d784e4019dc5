// The answers, as bars that move: a list a model, made once and changed after.

const percent = (share) => (share === 1 ? "100 %" : `${Math.min(99.9, 100 * share).toFixed(1)} %`);

/** Makes a block for a model; returns the function that shows an answer in it. */
export function block(parent, model, several) {
  const title = document.createElement("p"), verdict = document.createElement("p"), reason = document.createElement("p");
  const list = document.createElement("ul"), whole = document.createElement("div");
  title.className = "model";
  title.textContent = several ? model.name : "";
  verdict.className = "verdict";
  verdict.textContent = "…";
  reason.className = "reason";
  list.className = "bars";
  const rows = new Map(model.class_names.map((name) => {
    const row = document.createElement("li"), label = document.createElement("span"), track = document.createElement("span");
    const bar = document.createElement("span"), share = document.createElement("span");
    label.textContent = name;
    track.className = "track";
    bar.className = "bar";
    share.className = "share";
    track.append(bar);
    row.append(label, track, share);
    list.append(row);
    return [name, { row, bar, share }];
  }));
  whole.append(title, verdict, list, reason);
  parent.append(whole);

  return (answer) => {
    verdict.textContent = answer.not_sure ? "Not sure" : answer.label;
    verdict.classList.toggle("unsure", answer.not_sure);
    list.classList.toggle("unsure-bars", answer.not_sure);
    reason.textContent = answer.not_sure ? `${answer.reason}. Likeliest: ${answer.label}, ${percent(answer.confidence)}.` : "";
    for (const [name, { row, bar, share }] of rows) {
      const chance = answer.probabilities[name];
      bar.style.setProperty("--share", chance);
      share.textContent = percent(chance);
      row.classList.toggle("first", name === answer.label);
    }
  };
}

/** Returns what a screen reader says of an answer. */
export const spoken = (answer) =>
  answer.not_sure ? `Not sure: ${answer.reason}. Likeliest ${answer.label}.` : `${answer.label}, ${percent(answer.confidence)}.`;
