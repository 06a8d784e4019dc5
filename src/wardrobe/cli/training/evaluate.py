"""`wardrobe evaluate`."""

from typing import Annotated

from typer import Option

from wardrobe.cli import options
from wardrobe.cli.app import TRAINING, app, progress_stream
from wardrobe.cli.training.train import print_scores


@app.command(rich_help_panel=TRAINING)
def evaluate(
    run: options.RunName = "latest",
    split: Annotated[str, Option(help="'test' or 'validation'")] = "test",
    tta_views: Annotated[
        int | None,
        Option(
            help="Test-time augmentation: average over 1 view (the image), 2 (and its mirror "
            "image) or 6 (and both shifted by a pixel)",
            show_default="as in the recipe",
        ),
    ] = None,
    data: options.Data = None,
    data_dir: options.DataDir = None,
    photos_dir: options.PhotosDir = None,
    extra_photos: options.ExtraPhotos = None,
    as_json: options.Json = False,
) -> None:
    """Score a run on a split, and write that split's metrics and plots, and the report."""
    from wardrobe.workflows import api
    from wardrobe.workflows.opening import Moved

    moved: Moved = {"data": data, "photos_dir": photos_dir, "extra_photos": extra_photos}
    scored = api.evaluate(run, split, data_dir, tta_views, progress_stream(as_json), **moved)
    print_scores(api.summarize(scored, split), as_json)
