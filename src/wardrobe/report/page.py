"""A run's scores and figures → report.html."""

import base64
import hashlib
import json
import shlex
from collections.abc import Iterable, Iterator
from importlib import resources
from pathlib import Path

import jinja2
import markupsafe

from wardrobe.data import FASHION_MNIST
from wardrobe.models.recipes import RECIPES
from wardrobe.percent import format_percent
from wardrobe.report import network
from wardrobe.report.chapter import Chapter
from wardrobe.runs import Run, atomic_write, format_recipe

# The groups of the page, and the figures of each, in page order.
GROUPS = {
    "Network and training": ("samples", "curves"),
    "How good is it?": (
        *("predictions", "confidence", "confusion", "per_class", "confusions", "mistakes"),
        "label_errors",
    ),
    "What did it learn?": (
        *("filters", "feature_maps", "filter_inputs", "activation_maximization", "top_images"),
        *("probes", "embedding"),
    ),
    "Why this prediction?": ("heat_maps", "faithfulness"),
    "How far can you trust it?": (
        *("reliability", "selective", "conformal", "out_of_distribution", "corruptions"),
        *("attacks", "adversarial_examples"),
    ),
}


def write_report(run: Run, chapters: Iterable[Chapter]) -> Path:
    """Writes report.html from run.json, metrics.json, history.csv and the figures of a run.

    Args:
        chapters: in page order; figures that the run does not have are left out.

    Returns:
        The path of the page.

    Raises:
        RunError: the run has no metrics.json yet.
    """
    page = load_template("report.html").render(
        run=run.path.name,
        info=run.info(),
        recipe=format_recipe(run.info()),
        metrics=run.metrics(),
        validation=run.scores().get("validation"),
        history=run.history(),
        groups=_group({each["name"]: each for each in _load_figures(run, chapters)}),
        layers=_load_layers(run),
        change=_suggest_change(run),
        explain=f"wardrobe explain {shlex.quote(str(run.path))}",
        style=_load_inline("report.css"),
        script=_load_inline("report.js"),
    )
    with atomic_write(run.report_path) as path:
        path.write_text(page, encoding="utf-8", errors="backslashreplace")
    return run.report_path


def load_template(name: str, package: str = "wardrobe.report") -> jinja2.Template:
    """Returns a page template of `package`; HTML is escaped, and `percent` formats a fraction."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package),
        autoescape=jinja2.select_autoescape(),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda part, digits=2: format_percent(part, digits)
    return environment.get_template(name)


def _load_inline(name: str) -> dict[str, str]:
    """Returns a style sheet or a script, and its hash for the Content-Security-Policy."""
    text = resources.files(__package__).joinpath("templates", name).read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return {"text": markupsafe.Markup(text), "hash": f"sha256-{digest}"}


def _load_layers(run: Run) -> list[network.Layer]:
    """Returns what the page shows of the layers; of a run of version 0.7 or older, none."""
    if not run.layers_path.is_file():
        return []
    layers = json.loads(run.layers_path.read_text(encoding="utf-8"))["layers"]
    return network.describe(layers, run.info()["recipe"]["ensemble_size"])


def _suggest_change(run: Run) -> dict[str, str]:
    """Returns the command and the Python code that train the run's recipe with fewer filters."""
    recipe, data = run.info()["recipe"], run.info()["data"]
    is_default = data == FASHION_MNIST
    field = "conv_filters" if recipe["conv_filters"] else "stem_filters"
    # Even numbers, as a whitened stem needs.
    half = [max(2, count // 4 * 2) for count in recipe[field]]
    is_shipped = recipe["name"] in RECIPES
    words = [recipe["name"]] if is_shipped else ["--recipe", str(run.path)]
    words += [] if is_default else ["--data", data]
    words += ["--set", f"{field}={','.join(map(str, half))}"]
    return {
        "command": shlex.join(["wardrobe", "train", *words]),
        "code": "from dataclasses import replace\nimport wardrobe\n"
        f"recipe = wardrobe.Run({str(run.path)!r}).recipe()\n"
        f'wardrobe.train(replace(recipe, name="mine", {field}={tuple(half)})'
        f"{'' if is_default else f', data={data!r}'})",
    }


def _group(figures: dict[str, dict[str, str]]) -> dict[str, list[dict[str, str]]]:
    """Returns the figures of each group of `GROUPS` that the run has, in page order."""
    groups = {
        title: [figures[name] for name in names if name in figures]
        for title, names in GROUPS.items()
    }
    return {title: each for title, each in groups.items() if each}


def _load_figures(run: Run, chapters: Iterable[Chapter]) -> Iterator[dict[str, str]]:
    """Yields the figures of a run; "images" is the JSON that the script reads, or empty."""
    for chapter in chapters:
        for name, (heading, text) in chapter.figures.items():
            path = run.plots_folder / f"{name}.png"
            if path.is_file():
                png = base64.b64encode(path.read_bytes()).decode()
                listed = path.with_suffix(".json")
                images = listed.read_text(encoding="utf-8") if listed.is_file() else ""
                # No "<" in the JSON: a class could be named "</script>".
                safe = markupsafe.Markup(images.replace("<", r"\u003c"))
                words = text if isinstance(text, str) else text(run)
                figure = {"name": name, "heading": heading, "text": words}
                yield {**figure, "png": png, "images": safe}
