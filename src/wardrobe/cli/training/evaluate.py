"""`wardrobe evaluate`."""

from typing import Annotated

from typer import Option

from wardrobe.cli import options
from wardrobe.cli.app import TRAINING, app, progress_stream
from wardrobe.cli.training.train import print_scores


@app.command(rich_help_panel=TRAINING)
@options.with_folders
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
    *,
    folders: options.Folders,
    as_json: options.Json = False,
) -> None:
    """Score a run on a split, and write that split's metrics and plots, and the report."""
    from wardrobe.workflows import api

    stream = progress_stream(as_json)
    scored = api.evaluate(run, split, tta_views=tta_views, stream=stream, data=data, **folders)
    print_scores(api.summarize(scored, split), as_json)
