"""`wardrobe export`."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from wardrobe.cli import options
from wardrobe.cli.app import INFERENCE, app, print_json, progress_stream
from wardrobe.percent import format_percent


@app.command(rich_help_panel=INFERENCE)
def export(
    run: Annotated[
        str,
        Argument(
            metavar="RUN", help="Run folder, 'latest', or shipped model: 'photo' or 'baseline'"
        ),
    ] = "latest",
    to: Annotated[str, Option("--format", help="'onnx', 'litert' or 'openvino'")] = "onnx",
    int8: Annotated[
        bool, Option("--int8", help="Quantise weights and activations to 8-bit integers")
    ] = False,
    out: Annotated[
        Path | None,
        Option(
            help="Output folder", show_default="the run; the current folder for a shipped model"
        ),
    ] = None,
    to_hub: Annotated[
        str | None,
        Option(metavar="OWNER/NAME", help="Upload the ONNX file to the Hugging Face Hub"),
    ] = None,
    data: options.Data = None,
    data_dir: options.DataDir = None,
    photos_dir: options.PhotosDir = None,
    extra_photos: options.ExtraPhotos = None,
    as_json: options.Json = False,
) -> None:
    """Export a model to ONNX, LiteRT or OpenVINO, and check it against Keras."""
    from wardrobe.workflows import api
    from wardrobe.workflows.opening import Moved

    moved: Moved = {"data": data, "photos_dir": photos_dir, "extra_photos": extra_photos}
    found = api.export_model(
        run, to, int8, out, data_dir, progress_stream(as_json), to_hub, **moved
    )
    if as_json:
        return print_json(found)
    keys = "accuracy", "keras_accuracy", "same_answers"
    accuracy, keras_accuracy, same = (format_percent(found[key], 2) for key in keys)
    gap, by_default = found["largest_logit_difference"], found["default_logit_difference"]
    print(
        f"Written: {found['file']}, {found['bytes'] / 1000:,.0f} kB\n"
        f"{accuracy} accuracy on {found['n']:,} test images, {keras_accuracy} with Keras; "
        f"{same} of the answers agree; logits differ by at most "
        f"{gap:.1e}"
    )
    if by_default > 10 * gap:
        print(
            f"With OpenVINO's defaults on this processor, they differ by up to {by_default:.1e}: "
            "compile the model with INFERENCE_PRECISION_HINT f32"
        )
    if to_hub is not None:
        print(f"Uploaded: {found['hub']}")
