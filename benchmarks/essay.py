"""Makes docs/how-a-cnn-sees.md: trains the baseline recipe, looks into it, and writes the essay with its figures.

Images of the data set are not in this repository, whole or in part. Figures that show garments are therefore made with
the synthetic wardrobe, by a second network that was trained on it; numbers and all other figures are Fashion-MNIST's.
"""

import re
from pathlib import Path
from typing import Any, TextIO

from PIL import Image

from benchmarks import cached_runs, results
from wardrobe import report, runs
from wardrobe.data import FASHION_MNIST, SYNTHETIC
from wardrobe.runs import Run
from wardrobe.workflows import api

NAME = "how-a-cnn-sees"
SHOW_GARMENTS = ("samples", "top_images", "feature_maps", "heat_maps", "adversarial_examples")
WIDTH = 1120  # pixels; of the figures
COLOURS = 256  # of a figure's palette, which makes its file a third as large


def write(
    folder: Path, *, data_dir: Path | None, epochs: int | None, stream: TextIO | None = None
) -> dict[str, Any]:
    """Trains two networks, or goes on with them, explains both, and writes what `assemble` does.

    Args:
        folder: gets runs/benchmark-essay, results/essay.json, docs/how-a-cnn-sees.md and docs/how-a-cnn-sees/.

    Returns:
        What results/essay.json holds.
    """
    place = folder / "runs" / "benchmark-essay"
    run, drawn = (
        cached_runs.train_or_resume(
            place / data, "baseline", data=data, data_dir=data_dir, epochs=epochs, stream=stream
        )
        for data in (FASHION_MNIST, SYNTHETIC)
    )
    for each in (run, drawn):
        api.explain(each.path, stream=stream)
    return assemble(run, drawn, folder, command=results.format_command("essay", epochs=epochs))


def assemble(run: Run, drawn: Run, folder: Path, command: str) -> dict[str, Any]:
    """Writes results/essay.json, docs/how-a-cnn-sees.md and its figures from two runs that were explained.

    Args:
        run: of which the essay tells; drawn: one whose images may be shown.

    Returns:
        What results/essay.json holds.
    """
    info, metrics, found = run.info(), run.metrics(), run.explanation()
    del (
        found["label_errors"]["likeliest"],
        found["pictures"],
    )  # a thousand rows and names; they stay in the run
    figures = {
        "benchmark": "essay",
        "command": command,
        **results.provenance(),
        "seed": info["seed"],
        "parameters": info["parameters"],
        "epochs": len(run.history()),
        "accuracy": metrics["accuracy"],
        "n": metrics["n"],
        "ece": metrics["ece"],
        "temperature": metrics["temperature"],
        **found,
    }
    results.write_results(figures, folder)
    essay = folder / "docs" / f"{NAME}.md"
    pictures = essay.with_suffix("")
    pictures.mkdir(parents=True, exist_ok=True)
    text = page(figures)
    for name in re.findall(rf"{NAME}/(\w+)\.png", text):
        source = drawn if name in SHOW_GARMENTS else run
        _copy(source.plots_folder / f"{name}.png", pictures / f"{name}.png")
    with runs.atomic_write(essay) as path:
        path.write_text(text, encoding="utf-8")
    return figures


def page(figures: dict[str, Any]) -> str:
    """Returns the essay, Markdown, with the numbers of results/essay.json; its figures lie beside it, in a folder."""
    text = report.load_template("essay.md", "benchmarks").render(
        e=figures, picture=lambda name: f"{NAME}/{name}.png"
    )
    return text.replace(" %", "\N{NO-BREAK SPACE}%")


def _copy(source: Path, target: Path) -> None:
    """Copies a picture, smaller."""
    with Image.open(source) as picture, runs.atomic_write(target) as path:
        height = round(picture.height * WIDTH / picture.width)
        small = picture.convert("RGB").resize((WIDTH, height), Image.Resampling.LANCZOS)
        palette = small.quantize(
            COLOURS, Image.Quantize.MAXCOVERAGE, kmeans=3, dither=Image.Dither.NONE
        )
        palette.save(path, format="PNG", optimize=True)
