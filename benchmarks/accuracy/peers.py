"""What a person would use instead: the MNIST examples of Keras and PyTorch, beside `baseline`.

Their layers and settings are those of the public examples. Only the data differ: Fashion-MNIST with
the split of this project. Each is scored once on the test split, after its last epoch.
"""

import importlib.metadata
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, TextIO

import keras
import numpy as np
import numpy.typing as npt

from benchmarks import cached_runs, results
from benchmarks.accuracy import torch_example
from wardrobe.data import TEST, Dataset, load_training_data
from wardrobe.errors import UsageError
from wardrobe.evaluation import scoring
from wardrobe.models import recipes

BASELINE = "baseline"


class Trained(NamedTuple):
    """Scores (n, 10) of the test images, seconds of the fit, and the number of parameters."""

    scores: npt.NDArray[Any]
    seconds: float
    parameters: int


class Peer(NamedTuple):
    """An example: how it trains and for how long.

    Attributes:
        train: (dataset, test images (n, 28, 28), seed, epochs) → what it trained.
    """

    train: Callable[[Dataset, npt.NDArray[np.uint8], int, int], Trained]
    epochs: int
    source: str


def measure_peers(
    seeds: int,
    *,
    data: str,
    data_dir: Path | None,
    epochs: int | None,
    limit: int | None,
    folder: Path,
    stream: TextIO | None = None,
) -> dict[str, Any]:
    """Trains `baseline` and the peers with seeds 0, 1, … in turn; writes results/train-peers.json.

    Args: as in `train.measure_training`.

    Raises:
        UsageError: PyTorch is not installed, or there is no seed.
    """
    if seeds < 1:
        raise UsageError(f"--seeds {seeds} is too small; give 1 or more")
    torch_version = find_torch_version()
    dataset = load_training_data(recipes.get(BASELINE), data, data_dir, limit, None)
    done: dict[str, list[dict[str, Any]]] = {name: [] for name in (BASELINE, *PEERS)}
    options: dict[str, Any] = {"data": data, "epochs": epochs, "limit": limit}
    for seed in range(seeds):
        path = folder / "runs" / "benchmark-peers" / f"{BASELINE}-{seed}"
        run = cached_runs.train_or_resume(
            path, BASELINE, data_dir=data_dir, seed=seed, stream=stream, **options
        )
        scored = {"accuracy": run.metrics()["accuracy"], "fit_seconds": run.fit_seconds()}
        done[BASELINE].append(scored | {"parameters": run.info()["parameters"]})
        for name, peer in PEERS.items():
            done[name].append(_measure(peer, dataset, seed, epochs or peer.epochs))
            print(f"{name}, seed {seed}: {done[name][-1]['accuracy']:.2%}", file=stream)
    rows = [_make_row(name, done, epochs) for name in done]
    measured = {
        "benchmark": "train-peers",
        "command": results.format_command("train --peers", seeds=seeds, **options),
        **results.provenance(),
        "data": dataset.name,
        "torch": torch_version,
        "rows": rows,
    }
    results.write_results(measured, folder)
    return measured


def find_torch_version() -> str:
    """Returns the version of PyTorch; it is no dependency, as its download is over 500 MB.

    Raises:
        UsageError: it is not installed.
    """
    try:
        return importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError as error:
        missing = "--peers needs PyTorch, which is not installed; install it: pip install torch"
        raise UsageError(missing) from error


def _measure(peer: Peer, dataset: Dataset, seed: int, epochs: int) -> dict[str, Any]:
    test = scoring.open_split(dataset, TEST)
    trained = peer.train(dataset, test.images, seed, epochs)
    accuracy = float((trained.scores.argmax(axis=1) == test.labels).mean())
    return {"accuracy": accuracy, "fit_seconds": trained.seconds, "parameters": trained.parameters}


def _make_row(
    name: str, done: dict[str, list[dict[str, Any]]], epochs: int | None
) -> dict[str, Any]:
    accuracies, seconds, of_baseline = (
        np.array([each[key] for each in done[which]])
        for which, key in ((name, "accuracy"), (name, "fit_seconds"), (BASELINE, "fit_seconds"))
    )
    own = recipes.get(BASELINE).epochs if name == BASELINE else PEERS[name].epochs
    return {
        "recipe": name,
        "source": "" if name == BASELINE else PEERS[name].source,
        "seeds": len(accuracies),
        "epochs": epochs or own,
        "parameters": done[name][0]["parameters"],
        "accuracy_mean": float(accuracies.mean()),
        "accuracy_std": float(accuracies.std(ddof=1)) if len(accuracies) > 1 else None,
        "accuracies": accuracies.tolist(),
        "fit_seconds": float(seconds.mean()),
        "fit_ratio_to_baseline": float(np.mean(seconds / of_baseline)),
    }


def _train_keras(
    dataset: Dataset, images: npt.NDArray[np.uint8], seed: int, epochs: int
) -> Trained:
    began = time.perf_counter()
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])

    def scale(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        return (images[..., None] / 255).astype(np.float32)

    train, validation = (
        (scale(split.images), split.labels) for split in (dataset.train, dataset.validation)
    )
    model.fit(*train, batch_size=128, epochs=epochs, validation_data=validation, verbose=0)
    seconds = time.perf_counter() - began
    return Trained(model.predict(scale(images), verbose=0), seconds, model.count_params())


def _train_torch(
    dataset: Dataset, images: npt.NDArray[np.uint8], seed: int, epochs: int
) -> Trained:
    # In its own process: PyTorch and TensorFlow in one end with a segmentation fault.
    with TemporaryDirectory() as folder:
        path = Path(folder) / "data.npz"
        np.savez(
            path,
            images=dataset.train.images,
            labels=dataset.train.labels,
            validation=dataset.validation.images,
            test=images,
        )
        command = [sys.executable, torch_example.__file__, str(path), str(seed), str(epochs)]
        subprocess.run(command, check=True)
        with np.load(path) as found:
            seconds, parameters = float(found["seconds"]), int(found["parameters"])
            return Trained(found["scores"], seconds, parameters)


PEERS = {
    "Keras": Peer(_train_keras, 15, "https://keras.io/examples/vision/mnist_convnet/"),
    "PyTorch": Peer(_train_torch, 14, "https://github.com/pytorch/examples/tree/main/mnist"),
}
