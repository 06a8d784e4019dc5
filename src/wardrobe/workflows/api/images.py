"""Explains the prediction for one image."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, Unpack

from wardrobe.errors import PhotoError
from wardrobe.runs import Run
from wardrobe.terminal import progress
from wardrobe.workflows.opening import Moved, load_run_data
from wardrobe.workflows.starting import loading_keras

if TYPE_CHECKING:
    pass


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
    from wardrobe import photo
    from wardrobe.inference.classifier import resolve_model

    try:
        steps = photo.prepare_steps(image)
    except OSError as error:
        reason = error.strerror or error
        raise PhotoError(f"{image} cannot be read: {reason}; give an image file") from error
    except PhotoError as error:
        raise PhotoError(f"{image}: {error}") from error
    file = resolve_model(model)  # fails before Keras is loaded if there is no such model
    folder = Run(file.parent)  # of a run, if the file is its model.onnx and not another one in it
    is_run = file == folder.onnx_path and (folder.path / "run.json").is_file()
    display = progress.make_training_display(stream or sys.stdout)
    dataset = None
    if is_run and folder.keras_path.is_file():
        display.stage("Opening the data")
        dataset = load_run_data(folder, data_dir, **moved)
    home = folder.path if is_run else Path()
    target = Path(out) if out is not None else home / f"explain-{Path(image).stem}.png"
    with loading_keras(display):
        from wardrobe.workflows import image_sheet
    source = folder if is_run else model
    image_sheet.write_sheet(Path(image).name, steps, source, dataset, target, display)
    return target
