"""Trains PyTorch's MNIST example on the images of a file: `torch_example.py FILE SEED EPOCHS`.

It runs in a process of its own, without TensorFlow; see `peers`. The file, an .npz, has images and
labels to train on, validation and test images; it is replaced by one with the scores of the latter.
"""

import sys
import time
from typing import Any

import numpy as np
import numpy.typing as npt

MNIST_MEAN, MNIST_STD = 0.1307, 0.3081  # of pixels 0-1, as in the example


def main(path: str, seed: int, epochs: int) -> None:
    """Trains and writes the scores, the seconds of the fit and the number of parameters."""
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    with np.load(path) as file:
        data = dict(file)
    began = time.perf_counter()
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

    examples = TensorDataset(scale(data["images"]), torch.from_numpy(data["labels"]).long())
    for _ in range(epochs):
        model.train()
        for pixels, answers in DataLoader(examples, batch_size=64, shuffle=True):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(pixels), answers).backward()
            optimizer.step()
        schedule.step()
        predict(data["validation"])  # as the example does after each epoch, on its test set
    np.savez(
        path,
        seconds=time.perf_counter() - began,
        scores=predict(data["test"]),
        parameters=sum(each.numel() for each in model.parameters()),
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
