"""A run's numbers and pictures → one HTML page that needs no network to be read."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from wardrobe.runs import Run, replacing

# Each plot of the page, in the order of reading: its name, the chapter's heading, and what to look for in it.
CHAPTERS: tuple[tuple[str, str, str], ...] = (
    (
        "samples",
        "The data",
        "Training images, a row a class. The model sees exactly this: 28 by 28 grey pixels.",
    ),
    (
        "curves",
        "Learning",
        "Each epoch shows the network every training image once. Validation images are never trained on: where "
        "training improves and validation does not, the network is learning its images by heart.",
    ),
    (
        "predictions",
        "What it answers",
        "The first images of the split, not picked: what the network says, how sure it is, and what the image is.",
    ),
    (
        "confidence",
        "How sure it is",
        "The probability of every class beside the image; the last rows are mistakes, if there are any. A good "
        "network that errs is torn between two classes rather than sure of a wrong one.",
    ),
    (
        "confusion",
        "What it confuses",
        "Rows are what an image is, columns what it was taken for. Everything off the diagonal is a mistake.",
    ),
    (
        "per_class",
        "Class by class",
        "Precision and recall far apart mean a class that is named too often, or too seldom.",
    ),
    (
        "reliability",
        "How far to trust it",
        "The temperature divides all logits before the softmax. It is fitted on the validation split, changes no "
        "answer, and brings the stated confidence nearer to the truth, given enough images to tell.",
    ),
    ("mistakes", "The most confident mistakes", "Some are hard for a person too, and some labels are wrong."),
    (
        "filters",
        "The first layer",
        "The first convolution slides these small patterns over the image and answers where they fit: edges, bars "
        "and spots.",
    ),
    (
        "feature_maps",
        "Layer by layer",
        "Bright is where a filter found its pattern. The first layer's maps are still pictures of the garment, its "
        "edges and textures; the next layer combines them to parts, coarser in place and more particular in kind. "
        "The images are from the validation split.",
    ),
)


def write(run: Run) -> Path:
    """Writes report.html from run.json, metrics.json, history.csv and those plots that the run has.

    Returns:
        The page's path.

    Raises:
        RunError: the run was not evaluated yet.
    """
    page = template("report.html").render(
        run=run.path.name,
        info=run.info(),
        metrics=run.metrics(),
        history=run.history(),
        chapters=_chapters(run),
    )
    with replacing(run.report_path) as path:
        path.write_text(page, encoding="utf-8")
    return run.report_path


def template(name: str) -> jinja2.Template:
    """Returns a page template of the package; values are escaped in HTML, and `percent` writes a share of 1."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("wardrobe"),
        autoescape=jinja2.select_autoescape(),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda share, digits=2: f"{100 * share:.{digits}f} %"
    return environment.get_template(name)


def _chapters(run: Run) -> list[Mapping[str, Any]]:
    return [
        {"name": name, "heading": heading, "text": text, "png": base64.b64encode(path.read_bytes()).decode()}
        for name, heading, text in CHAPTERS
        if (path := run.plots_folder / f"{name}.png").is_file()
    ]
