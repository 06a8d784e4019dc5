// What a person does with a network: tries it on a drawing or photo, takes it along.

import { PIXELS_TYPE, post, send } from "../api.js";
import { createBlock, describe } from "../answer.js";
import { grey, paint } from "../colours.js";
import { createPictures, makeTile } from "./pictures.js";

/** Returns the newest epoch of a run, or once it has ended, the one whose weights are kept. */
const findEpoch = ({ info, epochs }) => info?.training_end?.kept_epoch ?? epochs.at(-1);

/** Sets up "Try it"; returns {show(details), stop()}: the newest snapshot of this run answers. */
export function createTry({ section, source, answer, announcement, epochText, tile, figure }) {
  let run = null, showAnswer = null, classNames = "", pixels = null, isBusy = false, next = null;

  // One request at a time; of those that wait, only the newest is sent.
  async function look(isFinal) {
    if (!run || !pixels) return;
    next = { isFinal };
    figure.hidden = false;
    paint(tile, pixels, 28, 28, grey);
    if (isBusy) return;
    isBusy = true;
    while (next) {
      const current = next, name = encodeURIComponent(run.summary.name);
      next = null;
      try {
        const found = await post(`api/runs/${name}/epochs/${findEpoch(run)}/look`, pixels, PIXELS_TYPE);
        showAnswer({ not_sure: false, ...found });
        if (current.isFinal) announcement.textContent = describe(found);
        pictures.showStatus("");
      } catch (error) {
        pictures.showStatus(error.message);
      }
    }
    isBusy = false;
  }

  const pictures = createPictures(source, "try", {
    onDrawing(drawn, isFinal) {
      pixels = drawn ?? new Uint8Array(784);
      look(isFinal);
    },
    async onPhotos([photo]) {
      try {
        pixels = await makeTile(photo);
        look(true);
      } catch (error) {
        pictures.showStatus(error.message);
      }
    },
  });

  return {
    stop: pictures.stop,
    show(details) {
      section.hidden = !details?.epochs.length;
      if (section.hidden) return;
      const { class_names: names } = details.summary;
      if (names.join("\n") !== classNames) {
        answer.replaceChildren();
        showAnswer = createBlock(answer, { name: "", class_names: names }, false);
        answer.querySelector(".verdict").textContent = "Draw something";
        classNames = names.join("\n");
      }
      run = details;
      const epoch = findEpoch(details);
      epochText.textContent = epoch ? `The network after epoch ${epoch} answers.` : "The network before training answers: it guesses.";
      look(false);
    },
  };
}

/** Sets up "Take it along"; returns the function that shows a run's lines. */
export function createTakeAlong({ section, command, python, status, copies, downloads }) {
  let name = null;
  for (const button of copies) {
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(document.getElementById(button.dataset.copies).textContent);
        status.textContent = "Copied.";
      } catch {
        status.textContent = "The browser does not allow copying here. Select the line and copy it.";
      }
    });
  }
  for (const button of downloads) {
    button.addEventListener("click", async () => {
      status.textContent = "Preparing the download …";
      try {
        const content = await (await send(`api/runs/${encodeURIComponent(name)}/${button.dataset.file}`)).blob();
        const link = document.createElement("a");
        link.href = URL.createObjectURL(content);
        link.download = `${name}-${button.dataset.file}`.replace("-run.zip", ".zip");
        link.click();
        setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
        status.textContent = "";
      } catch (error) {
        status.textContent = error.message;
      }
    });
  }
  return (details) => {
    section.hidden = !details;
    if (!details) return;
    name = details.summary.name;
    command.textContent = details.command;
    python.textContent = details.python;
  };
}
