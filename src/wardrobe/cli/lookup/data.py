"""`wardrobe data`."""

from pathlib import Path
from typing import Annotated, Any

from typer import Option

from wardrobe.cli.app import DATA_HELP, LOOKUP, DataDir, Json, PhotosDir, app, print_json


@app.command(rich_help_panel=LOOKUP)
def data(
    name: Annotated[str, Option("--data", help=DATA_HELP)] = "auto",
    data_dir: DataDir = None,
    photos_dir: PhotosDir = None,
    download_photos: Annotated[
        bool, Option("--download-photos", help="Download the clothing photos if they are not found")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show where the data is, its checksums, class counts, and sample images."""
    from wardrobe import plots
    from wardrobe.data import clothing_photos, load_data

    root = clothing_photos.find(photos_dir)
    if root is None and download_photos:
        root = clothing_photos.locate()
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
        "photos": root and {"source": str(root), "kinds": clothing_photos.count_photos(root)},
    }
    if as_json:
        print_json(about)
    else:
        _print_data(about)


def _print_data(about: dict[str, Any]) -> None:
    print(f"data      {about['data']}\nsource    {about['source']}")
    for name, checksum in about["checksums"].items():
        print(f"checksum  {name}  {checksum}")
    folders = {
        split: f" from {folder}/" for split, folder in about.get("split_folders", {}).items()
    }
    sizes = ", ".join(
        f"{n:,} {split}{folders.get(split, '')}" for split, n in about["splits"].items()
    )
    print(f"splits    {sizes}\n")
    _print_counts("class", about["class_counts"])
    print(f"\nsamples   {about['sheet']}")
    photos = about["photos"]
    if photos is None:
        print("photos    not found; add --download-photos to download them (104 MB)")
    else:
        print(f"photos    {photos['source']}\n")
        _print_counts("kind", photos["kinds"])


def _print_counts(heading: str, counts: dict[str, dict[str, int]]) -> None:
    print(f"{heading:<16}{'train':>8}{'validation':>12}")
    for label, each in counts.items():
        print(f"{label:<16}{each['train']:>8,}{each['validation']:>12,}")
