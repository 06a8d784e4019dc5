"""`--log-to`: what TensorBoard and MLflow have of a run that was killed and resumed."""

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import refused, wardrobe_here
from traced_models import share_traced_models

import wardrobe
from wardrobe.runs import Run
from wardrobe.training import checkpoints

pytestmark = [  # of MLflow itself and what it imports
    pytest.mark.filterwarnings("ignore::Warning:mlflow"),
    pytest.mark.filterwarnings("ignore:.*(noload|type hint):Warning"),
]
mlflow = pytest.importorskip("mlflow", reason="pip install 'wardrobe-cnn[mlflow]'")


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory, few_of_own: Path) -> Iterator[Run]:
    """A run of two epochs, killed when the trackers had the second and its checkpoint did not."""
    cwd, save = tmp_path_factory.mktemp("tracked"), checkpoints.save_checkpoint

    def kill(model: Any, run: Run, epoch: int, *more: Any) -> None:
        if epoch == 2:
            raise KeyboardInterrupt
        save(model, run, epoch, *more)

    with pytest.MonkeyPatch.context() as patch, share_traced_models():
        patch.chdir(cwd)
        for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
            patch.delenv(name, raising=False)
        patch.setattr(checkpoints, "save_checkpoint", kill)
        with pytest.raises(wardrobe.WardrobeError, match="after 1 of 2 epochs"):
            wardrobe.train(
                "sprint",
                data=str(few_of_own),
                settings={"conv_filters": (4,), "pool_after": (1,)},
                epochs=2,
                out="run",
                stream=io.StringIO(),
                log_to=["tensorboard", "mlflow"],
            )
        patch.setattr(checkpoints, "save_checkpoint", save)
        wardrobe.resume("run", stream=io.StringIO())
        yield Run(cwd / "run")
    mlflow.set_tracking_uri(None)


def test_tensorboard_has_each_epoch_once_the_settings_and_the_pictures(tracked: Run) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
    from tensorboard.util.tensor_util import make_ndarray

    events = EventAccumulator(str(tracked.path / "tensorboard")).Reload()
    losses = events.Tensors("val_loss")
    history = tracked.history()
    assert [event.step for event in losses] == [1, 2]
    curve = [float(make_ndarray(event.tensor_proto)) for event in losses]
    assert curve == pytest.approx([row["val_loss"] for row in history])
    (score,) = events.Tensors("test_accuracy")
    accuracy = tracked.metrics()["accuracy"]
    assert float(make_ndarray(score.tensor_proto)) == pytest.approx(accuracy)
    assert {"confusion", "predictions"} <= set(events.Tags()["tensors"])
    content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    settings = HParamsPluginData.FromString(content).session_start_info.hparams
    assert settings["conv_filters"].string_value == "[4]"
    png = make_ndarray(events.Tensors("predictions")[0].tensor_proto)[2]
    assert png.startswith(b"\x89PNG")


def test_mlflow_has_each_epoch_once_the_settings_the_pictures_and_a_model_that_answers(
    tracked: Run,
) -> None:
    from mlflow.pyfunc import scoring_server
    from starlette.testclient import TestClient

    (found,) = mlflow.search_runs(experiment_names=["wardrobe"], output_format="list")
    assert (found.info.status, found.info.run_name) == ("FINISHED", "run")
    assert found.data.params["conv_filters"] == "[4]"
    assert found.data.metrics["test_accuracy"] == tracked.metrics()["accuracy"]
    losses = mlflow.MlflowClient().get_metric_history(found.info.run_id, "val_loss")
    expected = [(row["epoch"], row["val_loss"]) for row in tracked.history()]
    assert [(each.step, each.value) for each in losses] == expected
    names = {each.path for each in mlflow.MlflowClient().list_artifacts(found.info.run_id, "plots")}
    assert {"plots/confusion.png", "plots/predictions.png"} <= names

    (model,) = mlflow.search_logged_models(output_format="list")
    loaded = mlflow.pyfunc.load_model(model.model_uri)
    assert loaded.metadata.signature.inputs.inputs[0].shape == (-1, 28, 28, 1)
    images = np.asarray(loaded.input_example)
    client = TestClient(scoring_server.init(loaded))
    answer = client.post("/invocations", json={"inputs": images.tolist()}).json()
    logits = wardrobe.Classifier.load(tracked).logits(images[..., 0].astype(np.uint8))
    np.testing.assert_allclose(answer["predictions"]["logits"], logits, rtol=1e-4)


def test_a_tracker_that_cannot_be_used_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused(wardrobe_here("train", "--log-to", "x", cwd=tmp_path), 2, "--log-to x", "'mlflow'")
    monkeypatch.setitem(sys.modules, "mlflow", None)
    result = wardrobe_here("train", "--log-to", "mlflow", cwd=tmp_path)
    refused(result, 1, "pip install 'wardrobe-cnn[mlflow]'")
