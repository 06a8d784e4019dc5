"""Result files, results/NAME.json, and the pages made from them: RESULTS.md and the model card."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wardrobe import report, runs
from wardrobe.data import FASHION_MNIST
from wardrobe.inference.classifier import SHIPPED

TARGETS = 0.91, 0.94, 0.955  # accuracies of the leaderboard
# Of a record, by the rules in templates/results.md: seeds, and those if a run takes LONG seconds.
SEEDS, FEWER_SEEDS, LONG = 5, 3, 1_800
CORES = 2


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
    template = report.load_template("results.md", "benchmarks")
    page = template.render(tables=tables, records=find_records(tables))
    write_page(folder / "RESULTS.md", page)
    card = folder / "src" / "wardrobe" / "pretrained" / "README.md"
    photos = tables.get("photos")
    if photos and _is_for_card(photos) and card.parent.is_dir():
        template = report.load_template("model_card.md", "benchmarks")
        write_page(card, template.render(p=photos, seeds=tables.get("photos-seeds")))
    return tables


def find_records(tables: dict[str, Any]) -> dict[float, dict[str, Any] | None]:
    """Returns the row of each target accuracy that keeps the rules and is the fastest; or None.

    Times are compared as ratios to `baseline`; rows without a ratio come after all others.
    """
    rows = [
        {**row, "git_commit": table["git_commit"]}
        for name, table in tables.items()
        if name.startswith("train") and name != "train-peers" and table["data"] == FASHION_MNIST
        if table["machine"]["cores"] == CORES
        for row in table["rows"]
        if row["seeds"] >= (SEEDS if row["fit_seconds"] < LONG else FEWER_SEEDS)
    ]
    reached = {each: [row for row in rows if row["accuracy_mean"] >= each] for each in TARGETS}
    return {target: min(found, key=_get_time, default=None) for target, found in reached.items()}


def _get_time(row: dict[str, Any]) -> tuple[bool, float]:
    """Returns what orders rows by time: seconds of different machines cannot be compared."""
    ratio = row["fit_ratio_to_baseline"]
    return ratio is None, row["fit_seconds"] if ratio is None else ratio


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
