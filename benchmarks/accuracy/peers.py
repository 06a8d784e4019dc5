"""What a person would use instead: the MNIST examples of Keras and PyTorch, beside `baseline`.

Their layers and settings are those of the public examples. Only the data differ: Fashion-MNIST with
the split of this project. Each is scored once on the test split, after its last epoch.
"""

import importlib.metadata
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import keras
import numpy as np
import numpy.typing as npt

from benchmarks import cached_runs, results
from wardrobe.data import TEST, Dataset, load_training_data
from wardrobe.errors import UsageError
from wardrobe.evaluation import scoring
from wardrobe.models import recipes

Predict = Callable[[npt.NDArray[np.uint8]], npt.NDArray[Any]]  # (n, 28, 28) → scores (n, 10)
BASELINE = "baseline"
MNIST_MEAN, MNIST_STD = 0.1307, 0.3081  # of pixels 0-1, as in PyTorch's example


class Peer(NamedTuple):
    """An example: how it trains and for how long.

    Attributes:
        train: (dataset, seed, epochs) → answers, parameters; it times nothing itself.
    """

    train: Callable[[Dataset, int, int], tuple[Predict, int]]
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
    began = time.perf_counter()
    predict, parameters = peer.train(dataset, seed, epochs)
    seconds = time.perf_counter() - began
    test = scoring.open_split(dataset, TEST)
    accuracy = float((predict(test.images).argmax(axis=1) == test.labels).mean())
    return {"accuracy": accuracy, "fit_seconds": seconds, "parameters": parameters}


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


def _train_keras(dataset: Dataset, seed: int, epochs: int) -> tuple[Predict, int]:
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
    return lambda images: model.predict(scale(images), verbose=0), model.count_params()


def _train_torch(dataset: Dataset, seed: int, epochs: int) -> tuple[Predict, int]:
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    torch.manual_seed(seed)
    model = nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Dropout(0.25), nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5)),
        nn.Linear(128, 10),
    )
    optimizer = torch.optim.Adadelta(model.parameters(), lr=1.0)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.7)

    def scale(images: npt.NDArray[np.uint8]) -> Any:
        pixels = torch.from_numpy(images[:, None].astype(np.float32) / 255)  # (n, 1, 28, 28)
        return (pixels - MNIST_MEAN) / MNIST_STD

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def predict(images: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        model.eval()
        return np.concatenate([model(part).numpy() for part in scale(images).split(1000)])

    labels = torch.from_numpy(dataset.train.labels.astype(np.int64))
    examples = TensorDataset(scale(dataset.train.images), labels)
    for _ in range(epochs):
        model.train()
        for pixels, answers in DataLoader(examples, batch_size=64, shuffle=True):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(pixels), answers).backward()
            optimizer.step()
        schedule.step()
        predict(dataset.validation.images)  # as the example does after each epoch, on its test set
    return predict, sum(each.numel() for each in model.parameters())


PEERS = {
    "Keras": Peer(_train_keras, 15, "https://keras.io/examples/vision/mnist_convnet/"),
    "PyTorch": Peer(_train_torch, 14, "https://github.com/pytorch/examples/tree/main/mnist"),
}
