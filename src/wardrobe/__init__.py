"""Wardrobe: train, see into and use convolutional networks that classify clothing.

    import wardrobe

    run = wardrobe.train("seed")       # the whole job: data, training, evaluation, plots, report, ONNX
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
    "Classifier": "wardrobe.classifier",
    "evaluate": "wardrobe.jobs",
    "explain": "wardrobe.jobs",
    "explain_image": "wardrobe.jobs",
    "export_model": "wardrobe.jobs",
    "load_data": "wardrobe.data",
    "resume": "wardrobe.jobs",
    "train": "wardrobe.jobs",
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
    from wardrobe.classifier import Classifier
    from wardrobe.data import load_data
    from wardrobe.errors import WardrobeError
    from wardrobe.jobs import evaluate, explain, explain_image, export_model, resume, train
    from wardrobe.runs import Run


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"wardrobe.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'wardrobe' has no attribute {name!r}; it has: {', '.join(__all__)}")
    return getattr(importlib.import_module(_HOMES[name]), name)
