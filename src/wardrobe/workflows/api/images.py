"""Explains the prediction for one image."""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, Unpack

from wardrobe import runs
from wardrobe.errors import PhotoError
from wardrobe.runs import Run
from wardrobe.terminal import progress
from wardrobe.workflows.opening import Moved, load_run_data
from wardrobe.workflows.starting import loading_keras

if TYPE_CHECKING:
    from wardrobe.photo import Steps


def explain_image(
    image: str | Path,
    model: str | Path | Run | None = None,
    data_dir: str | Path | None = None,
    out: str | Path | None = None,
    stream: TextIO | None = None,
    **moved: Unpack[Moved],
) -> Path:
    """Explains the prediction for one image in one figure.

    Args:
        image: a photo, or a 28x28 image like those of the data.
        model: a run, "latest", an .onnx file, or None for the default shipped model.
        data_dir, moved: where the run's data is now; None: where it was.
        out: the PNG to write; None: `explain-<image>.png` in the run folder, or in the working
            directory if there is no run.

    Returns:
        The path of the PNG.

    Raises:
        PhotoError: the image cannot be read.
        ModelError, RunError: there is no such model, or the data of its run has changed.
    """
    found = describe_image(image, model, data_dir, out, stream, **moved)
    return Path(found["sheet"])


def describe_image(
    image: str | Path,
    model: str | Path | Run | None = None,
    data_dir: str | Path | None = None,
    out: str | Path | None = None,
    stream: TextIO | None = None,
    **moved: Unpack[Moved],
) -> dict[str, Any]:
    """Explains one image as `explain_image` does, and returns the JSON object of the command.

    A run of a recipe with model.keras is explained by Keras, if it is installed, any other model by
    ONNX Runtime.

    Returns:
        The fields of a prediction of `wardrobe predict --json`, "model", "sheet", and:
        "data", what the model was trained on; "occlusion", 28 rows of 28 numbers; "layers",
        convolution → its strongest filters; "nearest", "label" and "similarity" of training images
        or, by ONNX Runtime, of drawn garments; "left_out", what the sheet lacks and why, or None.
    """
    from wardrobe.explain import onnx_sheet
    from wardrobe.inference.classifier import Classifier, resolve_model

    steps = _prepare(image)
    file = resolve_model(model)
    run = runs.find_run_of(file)
    if run is not None and file != run.onnx_path:
        run = None  # another file in its folder, such as an export
    home = Path() if run is None else run.path
    target = Path(out) if out is not None else home / f"explain-{Path(image).stem}.png"
    runs.check_writable(target.parent, "give --out a file on a writable disk")
    target.parent.mkdir(parents=True, exist_ok=True)
    display = progress.make_training_display(stream or sys.stdout)
    display.stage(f"Explaining {Path(image).name}")
    classifier = Classifier.load(run or model)
    answer = classifier.classify(steps.pixels[None])
    left_out = _find_left_out(run)
    if run is not None and not left_out:
        display.stage("Opening the data")
        dataset = load_run_data(run, data_dir, **moved)
        with loading_keras(display):
            from wardrobe.workflows import image_sheet
        found = image_sheet.write_sheet(
            Path(image).name, steps, run, answer, dataset, target, display
        )
    else:
        found = onnx_sheet.write_sheet(
            Path(image).name, steps, classifier, answer, target, left_out
        )
        display.stage(left_out)
    head = {"model": classifier.name, "path": str(image), "sheet": str(target)}
    data = classifier.metadata.get("data", "unknown")
    return {**head, **answer[0].to_json(), "data": data, **found, "left_out": left_out or None}


def _find_left_out(run: Run | None) -> str:
    """Returns what Keras would add to the sheet of a model and why it cannot; "" if it can.

    Args:
        run: that of the model; None: the model is a file alone.
    """
    if run is None:
        reason = "which a model file does not have; give a run of a recipe"
    elif run.recipe().network is not None:
        reason = "and the layers of a recipe, which a network of one's own does not have"
    elif not run.keras_path.is_file():
        reason = "and so model.keras, which this run does not have"
    elif find_spec("keras") is None:
        reason = "and so Keras; run: pip install 'wardrobe-cnn[train]'"
    else:
        return ""
    return f"HiResCAM and Grad-CAM are left out: they need gradients, {reason}"


def _prepare(image: str | Path) -> "Steps":
    """Returns the image and the tile that a model sees.

    Raises:
        PhotoError: it cannot be read, or is not an image.
    """
    from wardrobe import photo

    try:
        return photo.prepare_steps(image)
    except OSError as error:
        reason = error.strerror or error
        raise PhotoError(f"{image} cannot be read: {reason}; give an image file") from error
    except PhotoError as error:
        raise PhotoError(f"{image}: {error}") from error
