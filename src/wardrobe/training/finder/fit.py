"""Trains the finder, writes it in int8, and keeps the file only if it agrees with Keras."""

import functools
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from wardrobe import export
from wardrobe.data import batches
from wardrobe.errors import DataError, WardrobeError
from wardrobe.export import onnx
from wardrobe.inference import engines
from wardrobe.models import initializers
from wardrobe.onnx_runtime import open_session
from wardrobe.photo.finder import squash
from wardrobe.runs import atomic_write
from wardrobe.training.finder import unet
from wardrobe.training.finder.augment import make_batch
from wardrobe.training.finder.recipe import FinderRecipe
from wardrobe.training.finder.teacher import Examples
from wardrobe.training.schedules import WarmupLinear

Masks = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.floating]

PREDICTED = 64  # photos at once
MAX_IOU_LOSS = 0.005  # of the int8 file, against Keras


def fit(
    recipe: FinderRecipe,
    training: Examples,
    validation: Examples,
    tiles: npt.NDArray[np.uint8],
    seed: int,
) -> tuple[keras.Model, list[dict[str, float]]]:
    """Trains the finder.

    Args:
        tiles: (m, 28, 28), 0-255, light on black, whose shapes are put on photos.

    Returns:
        The network for inference, and one row per epoch for history.csv.

    Raises:
        DataError: the network agrees with the teacher on no photo.
    """
    # Of every epoch, so that the learning rate ends at 0 whatever photos are dropped.
    steps = -(-len(training) // recipe.batch_size)
    model = compile_model(recipe, seed, steps)
    history = []
    for epoch in range(recipe.epochs):
        started = time.perf_counter()
        if epoch == recipe.clean_after:
            agrees = compute_iou(predict(model, training), training) >= recipe.clean_below
            if not agrees.any():
                raise DataError(
                    f"after {epoch} epochs the finder agrees with the teacher on none of "
                    f"{len(training)} photos; expected an IoU of {recipe.clean_below} on some; "
                    "check the photos, or train with another --seed"
                )
            training = training.select(agrees)
        make = functools.partial(make_batch, recipe, training, tiles, seed, epoch)
        fed = batches.from_function(make, steps)
        losses = model.fit(**fed, shuffle=False, verbose=0).history["loss"]
        iou = compute_iou(predict(model, validation), validation).mean()
        row = {"epoch": epoch + 1, "seconds": round(time.perf_counter() - started, 3)}
        history.append(row | {"loss": losses[0], "val_iou": float(iou)})
    return unet.to_inference(model, recipe.filters), history


def compile_model(recipe: FinderRecipe, seed: int, steps: int) -> keras.Model:
    """Returns the network to train, with initial weights; `steps` are the batches an epoch."""
    model = unet.build(recipe.filters, for_training=True)
    initializers.initialize_weights(model, seed)  # NumPy draws them: equal on every backend
    rate = WarmupLinear(recipe.learning_rate, recipe.epochs * steps)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss, steps_per_execution=min(steps, 16))
    return model


def predict(network: keras.Model, examples: Examples) -> Masks:
    """Returns the masks of Keras's network: (n, 96, 96)."""
    convert = keras.ops.convert_to_numpy
    return _predict(lambda photos: convert(network.predict_on_batch(photos)), examples)


def predict_with_onnx(path: Path, examples: Examples) -> Masks:
    """Returns the masks of a finder's file: (n, 96, 96)."""
    session = open_session(path)
    return _predict(lambda photos: session.run(None, {engines.PIXELS: photos})[0], examples)


def _predict(compute_logits: Callable[[Floats], Floats], examples: Examples) -> Masks:
    photos = resize(examples.photos).astype(np.float32)
    parts = (photos[each] for each in batches.slices(len(photos), PREDICTED))
    return np.concatenate([compute_logits(part) > 0 for part in parts])


def compute_iou(masks: Masks, examples: Examples) -> npt.NDArray[np.float64]:
    """Returns the intersection over union of each mask (n, 96, 96) and the teacher's: (n,), 0-1."""
    wanted = resize(examples.masks) > 127
    both, either = (each.sum((1, 2)) for each in (masks & wanted, masks | wanted))
    return both / np.maximum(either, 1)


def resize(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Resizes squares (n, s, s) or (n, s, s, 3) to the network's side."""
    return np.stack([squash(each) for each in images])


def export_finder(
    network: keras.Model,
    path: Path,
    training: Examples,
    validation: Examples,
    metadata: Mapping[str, str],
) -> float:
    """Writes the finder as an int8 .onnx file, calibrated on training photos.

    Returns:
        The mean IoU of the file's masks on the validation photos, 0-1.

    Raises:
        WardrobeError: it is lower than that of Keras by more than `MAX_IOU_LOSS`. No file is kept.
    """
    of_keras = float(compute_iou(predict(network, validation), validation).mean())
    # Spread over all photos, which are sorted by kind.
    count = min(export.CALIBRATION_IMAGES, len(training))
    chosen = training.photos[np.linspace(0, len(training) - 1, count).astype(int)]
    with atomic_write(path) as temporary:
        with export.suppress_output():
            onnx.write(network, temporary, resize(chosen))
        iou = float(compute_iou(predict_with_onnx(temporary, validation), validation).mean())
        if not iou >= of_keras - MAX_IOU_LOSS:  # true for NaN too
            raise WardrobeError(
                f"{path.name} has an IoU of {iou:.3f} on {len(validation)} validation photos, "
                f"Keras {of_keras:.3f}; expected a loss of at most {MAX_IOU_LOSS}; the file was "
                "not kept; train it again with another --seed"
            )
        onnx.write_metadata(temporary, {**metadata, "iou": round(iou, 4)})
    return iou
