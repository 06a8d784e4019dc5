"""The essay docs/how-a-cnn-sees.md: trains `baseline`, explains it, writes page and figures.

This repository contains no images of the data set. A second network, trained on the synthetic
wardrobe, therefore makes the figures that show garments. Numbers and all other figures are from
the network trained on Fashion-MNIST.
"""

import re
from collections.abc import Mapping
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
WIDTH = 1120  # pixels of a figure
COLOURS = 256  # of a figure's palette, which reduces its file to a third


def write_essay(
    folder: Path, *, data_dir: Path | None, epochs: int | None, stream: TextIO | None = None
) -> dict[str, Any]:
    """Trains or resumes both networks, explains them, and writes the essay.

    Args:
        folder: for runs/benchmark-essay and the files of `assemble_essay`.

    Returns:
        The content of results/essay.json.
    """
    root = folder / "runs" / "benchmark-essay"
    options: dict[str, Any] = {"data_dir": data_dir, "epochs": epochs, "stream": stream}
    run, synthetic_run = (
        cached_runs.train_or_resume(root / data, "baseline", data=data, **options)
        for data in (FASHION_MNIST, SYNTHETIC)
    )
    for each in (run, synthetic_run):
        api.explain_run(each.path, stream=stream)
    command = results.format_command("essay", epochs=epochs)
    return assemble_essay(run, synthetic_run, folder, command)


def assemble_essay(run: Run, synthetic_run: Run, folder: Path, command: str) -> dict[str, Any]:
    """Writes results/essay.json and docs/how-a-cnn-sees.md with its figures.

    Args:
        run: the explained run that the essay describes.
        synthetic_run: an explained run whose images may be published.

    Returns:
        The content of results/essay.json.
    """
    info, metrics, explanation = run.info(), run.metrics(), run.explanation()
    # These long lists stay in the run.
    del explanation["label_errors"]["likeliest"], explanation["figures"]
    measured = {
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
        **explanation,
    }
    results.write_results(measured, folder)
    essay = folder / "docs" / f"{NAME}.md"
    figures = essay.with_suffix("")
    figures.mkdir(parents=True, exist_ok=True)
    text = render_page(measured)
    for name in re.findall(rf"{NAME}/(\w+)\.png", text):
        source = synthetic_run if name in SHOW_GARMENTS else run
        _copy_smaller(source.plots_folder / f"{name}.png", figures / f"{name}.png")
    results.write_page(essay, text)
    return measured


def render_page(measured: dict[str, Any]) -> str:
    """Returns the essay in Markdown, from the content of results/essay.json."""
    template = report.load_template("essay.md", "benchmarks")
    text = template.render(
        e=measured,
        picture=lambda name: f"{NAME}/{name}.png",
        judge=judge_difference,
        better=list_better(measured["faithfulness"]["differences"]),
    )
    text = re.sub(rf"^!\[.+\]\({NAME}/(\w+)\.png\)$", _add_caption, text, flags=re.MULTILINE)
    return text.replace(" %", "\N{NO-BREAK SPACE}%")


def _add_caption(image: re.Match[str]) -> str:
    """Returns an image of the page and, below it, which of the two networks it is of."""
    first, second = (
        "first network, trained on Fashion-MNIST",
        "second network, trained on synthetic garments",
    )
    return f"{image[0]}\n\n*From the {second if image[1] in SHOW_GARMENTS else first}.*"


def judge_difference(measure: str, difference: Mapping[str, Any]) -> str:
    """Returns whether the first of two orders is "better", "worse", or the two "not resolved".

    Args:
        measure: "deletion", where the lower area is better, or "insertion", where the higher is.
        difference: {"interval": (low, high)}, 95 % of the paired difference of the areas.
    """
    low, high = difference["interval"]
    if low <= 0 <= high:
        return "not resolved"
    return "better" if (low > 0) == (measure == "insertion") else "worse"


def list_better(differences: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Returns the pairs whose first order is better by one measure and not worse by the other.

    Args:
        differences: measure → pair of orders → as in `judge_difference`.
    """
    judged: dict[str, set[str]] = {}
    for measure, pairs in differences.items():
        for pair, difference in pairs.items():
            judged.setdefault(pair, set()).add(judge_difference(measure, difference))
    return [pair for pair, words in judged.items() if "better" in words and "worse" not in words]


def _copy_smaller(source: Path, target: Path) -> None:
    """Copies an image, scaled down to `WIDTH` pixels, with a palette."""
    with Image.open(source) as image, runs.atomic_write(target) as path:
        height = round(image.height * WIDTH / image.width)
        small = image.convert("RGB").resize((WIDTH, height), Image.Resampling.LANCZOS)
        quantizer = Image.Quantize.MAXCOVERAGE
        palette = small.quantize(COLOURS, quantizer, kmeans=3, dither=Image.Dither.NONE)
        palette.save(path, format="PNG", optimize=True)
