"""Experiment trackers: TensorBoard and MLflow get a run's curves, settings, pictures and model.

All they get is also in the run folder. What a tracker already has is not logged twice, so a run
that is resumed continues its curves.
"""

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import Image

from wardrobe.data import synthetic
from wardrobe.errors import RunError
from wardrobe.inference.classifier import Classifier
from wardrobe.runs import Run

EXPERIMENT = "wardrobe"  # MLflow's, unless MLFLOW_EXPERIMENT_NAME is set
EXAMPLES = 2  # drawn garments in the input example of MLflow's model


class Tracker(keras.callbacks.Callback):
    """Logs the rows of history.csv, each epoch once, and at the end of the run its results.

    Attributes:
        logged: the epochs that it has, from 1.
    """

    logged: set[int]

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run
        self.start()
        for row in run.history():  # what an earlier process has not logged
            self.on_epoch_end(int(row["epoch"]) - 1, row)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        if epoch + 1 not in self.logged:
            self.log_scalars({k: v for k, v in (logs or {}).items() if k != "epoch"}, epoch + 1)
            self.logged.add(epoch + 1)

    def start(self) -> None:
        """Opens the tracker's record of the run, and logs the settings if it is new."""
        raise NotImplementedError

    def log_scalars(self, values: Mapping[str, float], step: int) -> None:
        raise NotImplementedError

    def log_results(self) -> None:
        """Logs test scores, pictures and model of the finished run."""
        raise NotImplementedError

    def settings(self) -> dict[str, Any]:
        """Returns the fields of the recipe, the data and the seed."""
        info = self.run.info()
        return {**info["recipe"], "data": info["data"], "seed": info["seed"]}

    def scores(self) -> dict[str, float]:
        """Returns the numbers of metrics.json, with the split in their names."""
        metrics = self.run.metrics()
        numbers = {**metrics, "ece": metrics["ece"]["after"]}
        return {
            f"{metrics['split']}_{name}": float(value)
            for name, value in numbers.items()
            if isinstance(value, int | float) and name not in ("n", "tta_views")
        }


class TensorBoard(Tracker):
    """Writes event files into RUN/tensorboard."""

    def start(self) -> None:
        import tensorflow as tf
        from tensorboard.plugins.hparams import api as hparams

        folder = self.run.path / "tensorboard"
        is_new = not folder.is_dir()
        self.logged = set() if is_new else _read_epochs(folder)
        self.tf, self.writer = tf, tf.summary.create_file_writer(str(folder))
        if is_new:
            plain = {
                k: v if isinstance(v, int | float) else str(v) for k, v in self.settings().items()
            }
            with self.writer.as_default():
                hparams.hparams(plain, trial_id=self.run.path.name)

    def log_scalars(self, values: Mapping[str, float], step: int) -> None:
        with self.writer.as_default(step):
            for name, value in values.items():
                self.tf.summary.scalar(name, value)
        self.writer.flush()

    def log_results(self) -> None:
        last = max(self.logged)
        self.log_scalars(self.scores(), last)
        with self.writer.as_default(last):
            for path in sorted(self.run.plots_folder.glob("*.png")):
                with Image.open(path) as image:
                    self.tf.summary.image(path.stem, np.asarray(image.convert("RGB"))[None])
        self.writer.close()


def _read_epochs(folder: Path) -> set[int]:
    """Returns the epochs in the event files of a folder, the last of which may be cut off."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    has_loss = "loss" in events.Tags()["tensors"]
    return {event.step for event in events.Tensors("loss")} if has_loss else set()


class MLflow(Tracker):
    """Logs to MLFLOW_TRACKING_URI, or to mlflow.db and mlruns in the working directory."""

    def start(self) -> None:
        import mlflow

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self.mlflow = mlflow
        kept = self.run.info().get("mlflow", {})
        if kept.get("tracking_uri") and "MLFLOW_TRACKING_URI" not in os.environ:
            mlflow.set_tracking_uri(kept["tracking_uri"])  # the run may be resumed elsewhere
        with self._explain_errors():
            self.client = mlflow.MlflowClient()
            if kept:
                self.id = kept["run_id"]
                steps = self.client.get_metric_history(self.id, "loss")
                self.logged = {metric.step for metric in steps}
                return
            name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
            experiment = mlflow.set_experiment(name).experiment_id
            self.logged = set()
            self.id = self.client.create_run(experiment, run_name=self.run.path.name).info.run_id
            for key, value in self.settings().items():
                self.client.log_param(self.id, key, value)
        record = {"run_id": self.id}
        if "MLFLOW_TRACKING_URI" not in os.environ:  # that address may have a password
            record["tracking_uri"] = mlflow.get_tracking_uri()
        self.run.update(mlflow=record)

    def log_scalars(self, values: Mapping[str, float], step: int) -> None:
        with self._explain_errors():
            self.mlflow.log_metrics(dict(values), step, run_id=self.id)

    def log_results(self) -> None:
        import mlflow.onnx
        import onnx

        self.log_scalars(self.scores(), max(self.logged))
        drawn = [
            synthetic.draw_one(label, np.random.default_rng(label)) for label in range(EXAMPLES)
        ]
        images = np.stack(drawn)  # (n, 28, 28) uint8
        logits = Classifier.load(self.run).logits(images)
        example = images[..., None].astype(np.float32)
        with self._explain_errors(), mlflow.start_run(self.id, nested=True):
            mlflow.log_artifacts(str(self.run.plots_folder), "plots")
            mlflow.log_artifact(str(self.run.report_path))
            mlflow.onnx.log_model(
                onnx.load(self.run.onnx_path),
                name="model",
                signature=mlflow.models.infer_signature(example, logits),
                input_example=example,
                pip_requirements=["onnx", "onnxruntime", "pandas"],
                onnx_execution_providers=["CPUExecutionProvider"],
                save_as_external_data=False,  # one file
            )

    @contextlib.contextmanager
    def _explain_errors(self) -> Iterator[None]:
        try:
            yield
        except self.mlflow.exceptions.MlflowException as error:
            uri, reason = self.mlflow.get_tracking_uri(), str(error).splitlines()[0]
            raise RunError(
                f"MLflow at {uri}: {reason}; set MLFLOW_TRACKING_URI, then resume with: "
                f"{self.run.resume_line}"
            ) from error


TRACKERS: dict[str, type[Tracker]] = {"tensorboard": TensorBoard, "mlflow": MLflow}


def open_trackers(run: Run) -> list[Tracker]:
    """Returns the trackers of run.json's "log_to", ready to be callbacks of `loop.fit`."""
    return [TRACKERS[name](run) for name in run.info().get("log_to", [])]
