"""`wardrobe evaluate`."""

from typing import Annotated

from typer import Option

from wardrobe.cli.app import (
    TRAINING,
    Data,
    DataDir,
    ExtraPhotos,
    Json,
    PhotosDir,
    RunName,
    app,
    progress_stream,
)
from wardrobe.cli.training.train import print_scores


@app.command(rich_help_panel=TRAINING)
def evaluate(
    run: RunName = "latest",
    split: Annotated[str, Option(help="'test' or 'validation'")] = "test",
    tta_views: Annotated[
        int | None,
        Option(
            help="Test-time augmentation: average over 1 view (the image), 2 (and its mirror "
            "image) or 6 (and both shifted by a pixel)",
            show_default="as in the recipe",
        ),
    ] = None,
    data: Data = None,
    data_dir: DataDir = None,
    photos_dir: PhotosDir = None,
    extra_photos: ExtraPhotos = None,
    as_json: Json = False,
) -> None:
    """Score a run on a split, and write that split's metrics and plots, and the report."""
    from wardrobe.workflows import api
    from wardrobe.workflows.opening import Moved

    moved: Moved = {"data": data, "photos_dir": photos_dir, "extra_photos": extra_photos}
    scored = api.evaluate(run, split, data_dir, tta_views, progress_stream(as_json), **moved)
    print_scores(api.summarize(scored, split), as_json)
