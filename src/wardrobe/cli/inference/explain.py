"""`wardrobe explain`."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from wardrobe.cli import options
from wardrobe.cli.app import INFERENCE, app, print_json, progress_stream
from wardrobe.errors import UsageError


@app.command(rich_help_panel=INFERENCE)
def explain(
    run: Annotated[
        str,
        Argument(
            metavar="[RUN]",
            help="Run folder, or 'latest'; with IMAGE also an .onnx file or 'photo'",
        ),
    ] = "latest",
    image: Annotated[
        str | None, Argument(metavar="[IMAGE]", help="Explain only this image")
    ] = None,
    layer: Annotated[str | None, Option(help="Draw only what this layer detects")] = None,
    data: options.Data = None,
    data_dir: options.DataDir = None,
    photos_dir: options.PhotosDir = None,
    extra_photos: options.ExtraPhotos = None,
    out: Annotated[
        Path | None,
        Option(help="The PNG to write, of IMAGE", show_default="explain-IMAGE.png in the run"),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Explain a model: what each layer learnt, why it answers, how far to trust it.

    A run takes about 5 minutes on two cores. With only an image, explains the answer of the
    shipped model, for which Keras is not needed.
    """
    from wardrobe.workflows import api
    from wardrobe.workflows.opening import Moved

    stream = progress_stream(as_json)
    moved: Moved = {"data": data, "photos_dir": photos_dir, "extra_photos": extra_photos}
    is_image = Path(run).is_file() and Path(run).suffix != ".onnx"
    if image is not None and is_image:
        raise UsageError(
            f"{run} is not a model; give a run folder, 'latest' or an .onnx file, then one image"
        )
    if image is None and Path(run).suffix and not Path(run).exists():
        raise UsageError(f"{run} does not exist; give a run folder, 'latest', or an image")
    if image is None and not is_image:
        if out is not None:
            raise UsageError(f"--out {out} is for one image; give RUN IMAGE, or leave it out")
        explained = api.explain_run(run, layer, data_dir, stream, **moved)
        if as_json:
            print_json({"run": str(explained.path), **explained.explanation()})
    elif layer is not None:
        raise UsageError("--layer and IMAGE were both given; choose one")
    else:
        model = None if is_image else run
        found = api.describe_image(image or run, model, data_dir, out, stream, **moved)
        print_json(found) if as_json else print(found["sheet"])
