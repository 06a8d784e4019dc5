"""A run's scores and figures → report.html."""

import base64
import hashlib
import shlex
from collections.abc import Iterable, Iterator
from importlib import resources
from pathlib import Path

import jinja2
import markupsafe

from wardrobe.percent import format_percent
from wardrobe.report.chapter import Chapter
from wardrobe.runs import Run, atomic_write


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
        metrics=run.metrics(),
        validation=run.scores().get("validation"),
        history=run.history(),
        figures=list(_load_figures(run, chapters)),
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
                figure = {"name": name, "heading": heading, "text": text}
                yield {**figure, "png": png, "images": safe}
