"""A run's scores and figures → report.html."""

import base64
from collections.abc import Iterable, Iterator
from pathlib import Path

import jinja2

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
        history=run.history(),
        figures=list(_load_figures(run, chapters)),
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


def _load_figures(run: Run, chapters: Iterable[Chapter]) -> Iterator[dict[str, str]]:
    for chapter in chapters:
        for name, (heading, text) in chapter.figures.items():
            path = run.plots_folder / f"{name}.png"
            if path.is_file():
                png = base64.b64encode(path.read_bytes()).decode()
                yield {"name": name, "heading": heading, "text": text, "png": png}
