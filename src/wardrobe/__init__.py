"""Wardrobe: train, explain and use convolutional networks that classify clothing.

    import wardrobe

    run = wardrobe.train("baseline")  # data, training, evaluation, plots, report, ONNX
    run.metrics()["accuracy"]  # 0-1, on the 10,000 test images
    wardrobe.explain_run(run.path)  # what each layer learnt, why it predicts; in run.report_path
    data = wardrobe.load_data()  # data.train.images: (55000, 28, 28) uint8, 0-255

    pixels = wardrobe.photo.prepare("photo.jpg")  # (28, 28) uint8, the model's input
    wardrobe.Classifier.load().classify(pixels[None]).labels[0]  # "Coat"; no TensorFlow needed

Everything is loaded on first use, so `import wardrobe` is quick and imports no TensorFlow.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.8.0.dev0"

_API = "evaluate", "explain_image", "explain_run", "export_model", "resume", "train"
_HOMES = {
    **dict.fromkeys(_API, "wardrobe.workflows.api"),
    "Classifier": "wardrobe.inference.classifier",
    "Run": "wardrobe.runs",
    "WardrobeError": "wardrobe.errors",
    "load_data": "wardrobe.data",
}
__all__ = [
    "Classifier",
    "Run",
    "WardrobeError",
    "__version__",
    "evaluate",
    "explain_image",
    "explain_run",
    "export_model",
    "load_data",
    "photo",
    "resume",
    "train",
]

if TYPE_CHECKING:
    from wardrobe import photo
    from wardrobe.data import load_data
    from wardrobe.errors import WardrobeError
    from wardrobe.inference.classifier import Classifier
    from wardrobe.runs import Run
    from wardrobe.workflows.api import (
        evaluate,
        explain_image,
        explain_run,
        export_model,
        resume,
        train,
    )


def __getattr__(name: str) -> Any:
    if name == "photo":
        return importlib.import_module("wardrobe.photo")
    if name not in _HOMES:
        known = ", ".join(__all__)
        raise AttributeError(f"module 'wardrobe' has no attribute {name!r}; it has: {known}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__all__"]
