"""`wardrobe data`."""

from pathlib import Path
from typing import Annotated, Any

from typer import Option

from wardrobe.cli.app import DATA_HELP, LOOKUP, DataDir, Json, app, print_json


@app.command(rich_help_panel=LOOKUP)
def data(
    name: Annotated[str, Option("--data", help=DATA_HELP)] = "auto",
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Show where the data is, its checksums, class counts, and sample images."""
    from wardrobe import plots
    from wardrobe.data import load_data

    dataset = load_data(name, data_dir)
    sheet = Path("runs") / f"samples-{Path(dataset.name).name}.png"
    sheet.parent.mkdir(exist_ok=True)
    figure = plots.training.plot_samples(
        dataset.train.images, dataset.train.labels, dataset.class_names
    )
    plots.save_figure(figure, sheet, dataset.name, dataset.is_synthetic)
    about = {
        "data": dataset.name,
        **dataset.describe(),
        "class_counts": dataset.class_counts(),
        "sheet": str(sheet),
    }
    if as_json:
        print_json(about)
    else:
        _print_data(about)


def _print_data(about: dict[str, Any]) -> None:
    print(f"data      {about['data']}\nsource    {about['source']}")
    for name, checksum in about["checksums"].items():
        print(f"checksum  {name}  {checksum}")
    sizes = ", ".join(f"{count:,} {split}" for split, count in about["splits"].items())
    print(f"splits    {sizes}\n\n{'class':<16}{'train':>8}{'validation':>12}")
    for label, counts in about["class_counts"].items():
        print(f"{label:<16}{counts['train']:>8,}{counts['validation']:>12,}")
    print(f"\nsamples   {about['sheet']}")
