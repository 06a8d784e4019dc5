"""The functions behind the commands and the Python API.

They check arguments, open data and run, and load Keras last, so a wrong argument fails at once.

training: trains a run, resumes it, and joins a distributed training as a worker.
scored_runs: what is done with a trained run: evaluate, export, explain, report.
images: explains the prediction for one image.
"""

from wardrobe.workflows.api.images import describe_image, explain_image
from wardrobe.workflows.api.scored_runs import (
    evaluate,
    explain_run,
    export_model,
    summarize,
    write_report,
)
from wardrobe.workflows.api.training import resume, train, train_worker

__all__ = [
    "describe_image",
    "evaluate",
    "explain_image",
    "explain_run",
    "export_model",
    "resume",
    "summarize",
    "train",
    "train_worker",
    "write_report",
]
