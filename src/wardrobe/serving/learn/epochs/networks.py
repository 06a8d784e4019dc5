"""Run and epoch → what is shown of its network. Slow: called in threads, kept in bounded caches."""

import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from wardrobe.data import Split
from wardrobe.errors import NotFoundError
from wardrobe.inference import confidence
from wardrobe.inference.classifier import Predictions
from wardrobe.inference.snapshots import Snapshot
from wardrobe.runs import Run
from wardrobe.serving import studio
from wardrobe.serving.learn.encoding import to_json
from wardrobe.serving.learn.epochs import film, units, validation
from wardrobe.serving.learn.epochs.cache import Cache

LIVE = "live"  # in the place of an epoch: the network in training
NETWORKS, FILMS = 4, 4  # kept in memory
ANSWERS = 128  # kept in memory, about 40 kB each
DOZEN = 12  # validation images whose predictions are shown during training


class Networks:
    """The networks that were used last, and the answers that take longest.

    All methods raise NotFoundError if the run has no such epoch, and ModelError or RunError if its
    files are damaged.
    """

    def __init__(self) -> None:
        self._networks: Cache[Snapshot] = Cache(NETWORKS)
        self._axes: Cache[validation.Floats | None] = Cache(NETWORKS)
        self._answers: Cache[bytes] = Cache(ANSWERS)
        self._films: Cache[bytes] = Cache(FILMS)

    def describe(self, run: Run, epoch: str) -> dict[str, Any]:
        """Returns the network's layers, its first filters, and the scores of its epoch."""
        network = self._open(run, epoch)
        rows = () if epoch == LIVE else run.history()
        scores = next((row for row in rows if row["epoch"] == network.epoch), None)
        return {
            "epoch": network.epoch,
            "step": network.step,
            "filters": describe_filters(network),
            "layers": studio.describe_layers(network),
            "scores": scores,
        }

    def look(self, run: Run, epoch: str, pixels: studio.Pixels) -> dict[str, Any]:
        """Returns the network's answer to an image (28, 28), and its activations."""
        network = self._open(run, epoch)
        logits, _ = network.predict(pixels[None])
        predictions = Predictions(
            class_names=tuple(validation.read_class_names(run)),
            probabilities=confidence.softmax(logits),
            familiarity=confidence.familiarity(logits),
            threshold=-math.inf,  # none is chosen before the end of the training
            empty=np.array([np.ptp(pixels) == 0]),
        )
        layers = studio.encode_activations(network, pixels)
        shown = {"logits": logits[0].tolist(), "temperature": 1.0, "layers": layers, "heat": None}
        return {**predictions[0].to_json(), **shown}

    def explain_unit(
        self, run: Run, epoch: str, pixels: studio.Pixels, query: units.Query
    ) -> dict[str, Any]:
        """Returns the arithmetic of a unit for an image (28, 28)."""
        network = self._open(run, epoch)
        if units.is_logits(query):
            unit = units.describe_logits(network.predict(pixels[None])[0], temperature=1.0)
        else:
            unit = units.describe_unit(network, pixels, query)
        return {"file": network.file, **unit}

    def predict(self, run: Run, epoch: str, split: Split) -> bytes:
        """Returns the predictions for the run's validation images as JSON."""
        last = run.snapshot_path(_list_epochs(run)[-1])
        path = _find_file(run, epoch)

        def compute() -> bytes:
            axes = self._axes.get(
                run.path,
                _get_time(last),
                lambda: validation.find_axes(self._open_file(run, last), split),
            )
            network, names = self._open_file(run, path), validation.read_class_names(run)
            answer = validation.describe_predictions(network, axes, split, names)
            return to_json(answer)

        return self._answers.get(path, (_get_time(path), _get_time(last)), compute)

    def look_at_dozen(self, run: Run, split: Split | None) -> dict[str, Any]:
        """Returns the first filters and the predictions for a few validation images.

        They are the network's in training, or after it, those of the epoch whose weights are kept.

        Args:
            split: the run's validation images; None: they are not available.
        """
        try:
            network = self._open(run, LIVE)
        except (NotFoundError, FileNotFoundError):  # not in training, or nobody has followed it yet
            kept, epochs = run.kept_epoch(), _list_epochs(run)
            epoch = kept if kept in epochs else epochs[-1]
            network = self._open_file(run, run.snapshot_path(epoch))
        images = validation.predict_dozen(network, split, DOZEN) if split else []
        return {
            "epoch": network.epoch,
            "step": network.step,
            "filters": describe_filters(network),
            "images": images,
        }

    def draw_film(self, run: Run, file_format: str) -> bytes:
        """Returns the first filters over the epochs as an animation, "webp" or "gif"."""
        paths = {epoch: run.snapshot_path(epoch) for epoch in _list_epochs(run)}
        stamp = tuple((path, _get_time(path)) for path in paths.values())
        draw = partial(film.draw_film, run.recipe().name, paths, file_format)
        return self._films.get((run.path, file_format), stamp, draw)

    def _open(self, run: Run, epoch: str) -> Snapshot:
        return self._open_file(run, _find_file(run, epoch))

    def _open_file(self, run: Run, path: Path) -> Snapshot:
        return self._networks.get(path, _get_time(path), partial(Snapshot.open, run, path))


def describe_filters(network: Snapshot) -> dict[str, Any] | None:
    """Returns the filters of the first convolution; None if there is none."""
    layer = next((each for each in network.layers if each.kernel is not None), None)
    if layer is None or layer.kernel is None:
        return None
    filters = layer.kernel[:, 0]  # (filters, side, side) of the first input channel
    largest = float(np.abs(filters).max())
    return {
        "layer": layer.name,
        "side": layer.side,
        "count": len(filters),
        "weights": studio.to_base64(studio.to_int8(filters, largest)),
        "largest": largest,
    }


def _list_epochs(run: Run) -> list[int]:
    epochs = run.snapshot_epochs()
    if not epochs:
        raise NotFoundError(f"{run.path} has no snapshots; each epoch of a training writes one")
    return epochs


def _find_file(run: Run, epoch: str) -> Path:
    """Returns the file of an epoch's network, which may be gone when it is opened."""
    if epoch == LIVE:
        path = run.live_path
        hint = "it is written while the run is trained and a page follows it"
    else:
        number = int(epoch) if epoch.isascii() and epoch.isdecimal() and len(epoch) < 6 else -1
        path = run.snapshot_path(number)
        hint = f"its epochs are {_shorten(run.snapshot_epochs())}, and live during training"
    if not path.is_file():
        raise NotFoundError(f"{run.path} has no network of the epoch {epoch[:20]!r}; {hint}")
    return path


def _shorten(epochs: list[int]) -> str:
    few = [*map(str, epochs)]
    return ", ".join(few if len(few) < 10 else [*few[:4], "…", few[-1]])


def _get_time(path: Path) -> int:
    """Returns when a file was written."""
    return path.stat().st_mtime_ns
