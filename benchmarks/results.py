"""Result files, results/NAME.json, and the pages made from them: RESULTS.md and the model card."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wardrobe import report, runs
from wardrobe.inference.classifier import SHIPPED


def write_results(measured: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Writes results/NAME.json, then RESULTS.md and the model card from all files in results/.

    The model card is written only if its folder exists and the photo results are those of the
    shipped model on the published photos.

    Returns:
        The content of each results/NAME.json, by name.
    """
    results = folder / "results"
    results.mkdir(parents=True, exist_ok=True)
    runs.write_json(results / f"{measured['benchmark']}.json", measured)
    paths = sorted(results.glob("*.json"))
    tables = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in paths}
    page = report.load_template("results.md", "benchmarks").render(tables=tables)
    write_page(folder / "RESULTS.md", page)
    card = folder / "src" / "wardrobe" / "pretrained" / "README.md"
    photos = tables.get("photos")
    if photos and _is_for_card(photos) and card.parent.is_dir():
        template = report.load_template("model_card.md", "benchmarks")
        write_page(card, template.render(p=photos, seeds=tables.get("photos-seeds")))
    return tables


def _is_for_card(photos: dict[str, Any]) -> bool:
    """Returns whether photo results are those of the shipped model on the published photos."""
    is_published = all(split["is_published"] for split in photos["splits"].values())
    return is_published and photos["model"] == SHIPPED


def write_page(path: Path, text: str) -> None:
    """Writes a page in UTF-8, atomically."""
    with runs.atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def format_command(name: str, **options: Any) -> str:
    """Returns the command line of a benchmark, without the options that are None."""
    words = [f"--{option} {value}" for option, value in options.items() if value is not None]
    return " ".join([f"python -m benchmarks {name}", *words])


def provenance() -> dict[str, Any]:
    """Returns the time, machine, versions and commit of a measurement made now."""
    finished = datetime.now(UTC).isoformat(timespec="seconds")
    return {"finished": finished, **runs.describe_provenance()}
