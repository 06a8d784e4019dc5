"""Wardrobe: train, see into and use convolutional networks that classify clothing.

    import wardrobe

    run = wardrobe.train("baseline")       # the whole job: data, training, evaluation, plots, report, ONNX
    run.metrics()["accuracy"]          # 0-1, on the 10,000 test images
    wardrobe.explain(run.path)         # what each layer learnt, why it answers, how far to trust it: in run.report_path
    data = wardrobe.load_data()        # data.train.images: (55000, 28, 28) uint8, 0-255

    pixels = wardrobe.photo.prepare("photo.jpg")                  # (28, 28) uint8: what a model sees
    wardrobe.Classifier.load().classify(pixels[None]).labels[0]   # "Coat"; no TensorFlow needed

Everything is loaded on first use, so `import wardrobe` costs nothing and imports no TensorFlow.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.7.0"

_HOMES = {
    "Classifier": "wardrobe.inference.classifier",
    "evaluate": "wardrobe.workflows.api",
    "explain": "wardrobe.workflows.api",
    "explain_image": "wardrobe.workflows.api",
    "export_model": "wardrobe.workflows.api",
    "load_data": "wardrobe.data",
    "resume": "wardrobe.workflows.api",
    "train": "wardrobe.workflows.api",
    "Run": "wardrobe.runs",
    "WardrobeError": "wardrobe.errors",
}
_MODULES = ("photo",)
__all__ = [
    "Classifier",
    "Run",
    "WardrobeError",
    "__version__",
    "evaluate",
    "explain",
    "explain_image",
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
    from wardrobe.workflows.api import evaluate, explain, explain_image, export_model, resume, train


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"wardrobe.{name}")
    if name not in _HOMES:
        raise AttributeError(
            f"module 'wardrobe' has no attribute {name!r}; it has: {', '.join(__all__)}"
        )
    return getattr(importlib.import_module(_HOMES[name]), name)
