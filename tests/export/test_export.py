"""Export: every format matches Keras and has its metadata; a file that differs is not kept."""

import json
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import requests
from ai_edge_litert.interpreter import Interpreter
from conftest import refused, serving, wardrobe, wardrobe_here

from wardrobe import export
from wardrobe.data import load_data, synthetic
from wardrobe.data.test_split import open_test_split
from wardrobe.errors import WardrobeError
from wardrobe.evaluation.scoring import Evaluation, ReferenceOutputs
from wardrobe.inference import engines
from wardrobe.inference.classifier import Classifier
from wardrobe.models import tta
from wardrobe.onnx_runtime import PRETRAINED
from wardrobe.runs import Run
from wardrobe.training import checkpoints

FORMATS = [(to, int8) for to in engines.FORMATS for int8 in (False, True)]


@pytest.fixture(scope="session")
def exported(own_run: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A run on a user's image folder in every format, and what `export --json` printed."""
    home = tmp_path_factory.mktemp("exported") / "runs"
    shutil.copytree(own_run.path.parent, home, dirs_exist_ok=True)
    reports = {}
    for to, int8 in FORMATS:
        result = wardrobe_here(
            "export",
            *("latest", "--format", to, *(["--int8"] if int8 else []), "--json"),
            cwd=home.parent,
        )
        assert result.returncode == 0, result.stderr
        printed = json.loads(result.stdout)
        reports[Path(printed["file"]).name] = printed
    return home, reports


def test_every_format_matches_keras_on_custom_classes(
    exported: tuple[Path, dict[str, Any]],
) -> None:
    home, reports = exported
    assert set(reports) == {
        *(
            "model.onnx",
            "model-int8.onnx",
            "model.tflite",
            "model-int8.tflite",
            "model.xml",
            "model-int8.xml",
        )
    }
    run = Run(home / "run")
    images = np.random.default_rng(0).integers(0, 256, (300, 28, 28), np.uint8)
    images[:, :, :14] //= 4
    averaged = tta.with_tta(checkpoints.load_model(run), run.recipe().tta_views)
    expected = averaged.predict(images[..., None], verbose=0)
    for name, report in reports.items():
        assert report["model"] == "runs/run", "not latest"
        classifier = Classifier.load(run.path / name)
        found = classifier.logits(images)
        assert list(classifier.class_names) == run.info()["dataset"]["class_names"]
        assert classifier.metadata["temperature"] == run.metrics()["temperature"]
        assert classifier.metadata["accuracy"] == report["accuracy"]
        if report["int8"]:
            assert (found.argmax(axis=1) == expected.argmax(axis=1)).mean() > 0.9
        else:
            np.testing.assert_allclose(found, expected, atol=1e-3)
            assert report["largest_logit_difference"] <= 1e-3
            assert report["same_answers"] == 1
        assert report["n"] == run.metrics()["n"]
        assert report["bytes"] < 0.5 * run.keras_path.stat().st_size if report["int8"] else True
        for count in (1, 3, 1, 0):
            assert classifier.logits(images[:count]).shape == (count, 3)
    assert set(run.info()["exports"]) == set(reports)
    left = {path.name for path in run.path.iterdir() if path.is_file()}
    assert not {
        name for name in left if name.startswith(".") or "prepared" in name or "new" in name
    }


@pytest.mark.parametrize("name", ["model-int8.onnx", "model.tflite", "model-int8.xml"])
def test_every_format_predicts_and_serves(
    exported: tuple[Path, dict[str, Any]], name: str, tmp_path: Path
) -> None:
    home, _ = exported
    image = next((home / "own").rglob("*.png"))
    predicted = json.loads(
        wardrobe("predict", image, "--model", home / "run" / name, "--json", cwd=tmp_path).stdout
    )
    assert predicted["predictions"][0]["label"] == image.parent.name
    with serving(tmp_path, "--model", home / "run" / name) as server:
        response = requests.post(server.url + "/api/classify", data=image.read_bytes()).json()
        assert response["predictions"] == [{**predicted["predictions"][0], "path": "-"}]
        assert response["model"] == predicted["model"] == str(home / "run" / name)
        activations = requests.post(server.url + "/api/look", data=image.read_bytes()).json()
        assert activations["models"][0]["layers"].keys() >= {"stem1", "conv1"}, (
            "the layers of model.onnx in the same folder"
        )


def test_a_file_without_its_run_is_served_without_layers(
    exported: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    shutil.copy(exported[0] / "run/model.tflite", tmp_path / "alone.tflite")
    image = next((exported[0] / "own").rglob("*.png"))
    with serving(tmp_path, "--model", "alone.tflite") as server:
        assert requests.get(server.url + "/api/models").json()["models"][0]["layers"] == []
        activations = requests.post(server.url + "/api/look", data=image.read_bytes()).json()
        assert activations["models"][0]["layers"] == {}
        assert activations["models"][0]["label"] == image.parent.name


def test_onnx_and_keras_give_the_same_logits_on_all_test_images(
    real_run: tuple[Run, dict[str, Any]], fashion_mnist_dir: Path
) -> None:
    run = real_run[0]
    images = open_test_split(load_data("fashion-mnist", fashion_mnist_dir)).images
    assert len(images) == 10_000
    keras_logits = checkpoints.load_model(run).predict(
        images[..., None], batch_size=1000, verbose=0
    )
    difference = np.abs(Classifier.load(run).logits(images) - keras_logits).max()
    assert difference <= 1e-4
    assert run.info()["onnx_largest_logit_difference"] <= 1e-4


def test_the_onnx_file_has_shapes_and_metadata(real_run: tuple[Run, dict[str, Any]]) -> None:
    run = real_run[0]
    session = onnxruntime.InferenceSession(run.onnx_path)
    (pixels,), (logits,) = session.get_inputs(), session.get_outputs()
    assert (pixels.name, pixels.shape, pixels.type) == (
        "pixels",
        ["batch", 28, 28, 1],
        "tensor(float)",
    )
    assert (logits.name, logits.shape) == ("logits", ["batch", 10])
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["class_names"])[9] == "Ankle boot"
    assert float(about["temperature"]) == run.metrics()["temperature"]
    assert (about["recipe"], about["data"]) == ("baseline", "fashion-mnist")
    assert float(about["accuracy"]) == run.metrics()["accuracy"]


def test_each_engine_reads_names_and_metadata_alone(exported: tuple[Path, dict[str, Any]]) -> None:
    home, reports = exported
    run, found, core = Run(home / "run"), {}, engines.import_openvino().Core()
    for path in (run.path / name for name in reports):
        if path.suffix == ".onnx":
            session = onnxruntime.InferenceSession(path)
            texts = session.get_modelmeta().custom_metadata_map
            about = engines.parse_metadata(texts)
            names = session.get_inputs()[0].name, session.get_outputs()[0].name
        elif path.suffix == ".tflite":
            with zipfile.ZipFile(path) as archive:
                about = json.loads(archive.read("wardrobe.json"))
                labels = archive.read("labels.txt").decode().splitlines()
            (signature,) = Interpreter(str(path)).get_signature_list().values()
            names = *signature["inputs"], *signature["outputs"]
        else:
            model = core.read_model(path)
            about = json.loads(model.get_rt_info(["wardrobe", "metadata"]).astype(str))
            (of_input,), (of_output,) = model.input().names, model.output().names
            names = of_input, of_output
        assert names == ("pixels", "logits"), path
        found[path.name] = about["class_names"], about["data"]
        for file in {path, path.with_suffix(".bin" if path.suffix == ".xml" else path.suffix)}:
            assert str(run.info()["data"]).encode() not in file.read_bytes(), "a path of a machine"
    classes = run.info()["dataset"]["class_names"]
    assert [*found.values()] == [(classes, "own")] * len(FORMATS)
    assert labels == classes


def test_openvino_keeps_the_promise_with_the_options_in_its_file(
    exported: tuple[Path, dict[str, Any]],
) -> None:
    home, reports = exported
    core, run = engines.import_openvino().Core(), Run(home / "run")
    model = core.read_model(run.path / "model.xml")
    options = json.loads(model.get_rt_info(["wardrobe", "metadata"]).astype(str))["compile_options"]
    pixels = NOISE[..., None].astype(np.float32)
    expected = Classifier.load(run).logits(NOISE)
    gaps = []
    for chosen in (options, dict[str, str]()):  # without options: as a person compiles it
        logits = core.compile_model(model, "CPU", chosen)(pixels)["logits"]
        gaps.append(float(np.abs(logits - expected).max()))
    assert gaps[0] < 1e-3
    reported = reports["model.xml"]
    assert (gaps[1] > 1e-3) == (reported["default_logit_difference"] > 1e-3)
    others = (each for name, each in reports.items() if not name.endswith(".xml"))
    assert all(
        each["default_logit_difference"] == each["largest_logit_difference"] for each in others
    )


def evaluate(model: Any, images: Any, tta_views: int = 1, error: float = 0) -> Evaluation:
    """Returns Keras's logits, with `error` added on validation; all its answers are correct."""
    logits = tta.with_tta(model, tta_views).predict(images[..., None], verbose=0)
    labels = logits.argmax(axis=1)
    validation = ReferenceOutputs(images, labels, logits + np.float32(error))
    return Evaluation(images, labels, logits, np.ones(len(labels)), {}, validation)


NOISE = np.random.default_rng(0).integers(0, 256, (20, 28, 28), np.uint8)
ABOUT = {
    "class_names": [f"class {i}" for i in range(10)],
    "temperature": 1.0,
    "familiarity_threshold": 0.0,
}


def test_the_exported_file_includes_tta(tmp_path: Path, drawn_training: tuple[Run, object]) -> None:
    model = checkpoints.load_model(drawn_training[0])
    expected = evaluate(model, NOISE, 6)
    export.export_model(tta.with_tta(model, 6), tmp_path / "model.onnx", "onnx", ABOUT, expected)
    found = Classifier.load(tmp_path / "model.onnx").logits(expected.images)
    np.testing.assert_allclose(found, expected.logits, atol=1e-4)
    assert (
        np.abs(expected.logits - model.predict(expected.images[..., None], verbose=0)).max() > 0.01
    )
    plain = drawn_training[0].onnx_path.stat().st_size
    assert (tmp_path / "model.onnx").stat().st_size < 1.2 * plain, (
        "the file has the weights more than once"
    )


@pytest.mark.parametrize("to", list(engines.FORMATS))
def test_an_export_that_differs_is_an_error_and_not_kept(
    drawn_training: tuple[Run, object], tmp_path: Path, to: str
) -> None:
    model, path = (
        checkpoints.load_model(drawn_training[0]),
        tmp_path / engines.file_name("model", to, False),
    )
    with pytest.raises(WardrobeError, match="differs from Keras by nan"):
        export.export_model(model, path, to, ABOUT, evaluate(model, NOISE, error=np.nan))
    with pytest.raises(
        WardrobeError, match=r"differs from Keras by 2\.0e-03 in a logit .*, expected at most 1e-03"
    ):
        export.export_model(model, path, to, ABOUT, evaluate(model, NOISE, error=2e-3))
    assert list(tmp_path.iterdir()) == []


def test_an_int8_export_that_loses_too_much_accuracy_is_an_error(
    drawn_training: tuple[Run, object], tmp_path: Path
) -> None:
    model, images = checkpoints.load_model(drawn_training[0]), synthetic.draw(300)[0]
    # Black images tell the quantizer nothing about the range of the activations.
    black = np.zeros((export.calibration.BATCH, 28, 28), np.uint8)
    with pytest.raises(
        WardrobeError,
        match=r"expected a loss of at most 0\.3 %; the file was not kept; export without",
    ):
        export.export_model(
            model, tmp_path / "model-int8.onnx", "onnx", ABOUT, evaluate(model, images), black
        )
    assert list(tmp_path.iterdir()) == []


def test_validation_decides_and_test_only_scores(
    drawn_training: tuple[Run, object], tmp_path: Path
) -> None:
    model, images = checkpoints.load_model(drawn_training[0]), synthetic.draw(300)[0]
    good, path = evaluate(model, images), tmp_path / "model-int8.onnx"
    other = (good.labels + 1) % 10  # as if Keras gave other answers, all correct
    bad = ReferenceOutputs(images, other, np.eye(10, dtype=np.float32)[other])
    bad_on_test = replace(good, labels=other, logits=bad.logits)
    parity = export.export_model(model, path, "onnx", ABOUT, bad_on_test, images)
    assert parity.accuracy < 0.1
    assert parity.keras_accuracy == 1
    assert Classifier.load(path).metadata["accuracy"] == parity.accuracy
    path.unlink()
    with pytest.raises(WardrobeError, match=r"on 300 validation images, .*the file was not kept"):
        export.export_model(model, path, "onnx", ABOUT, replace(good, validation=bad), images)
    assert list(tmp_path.iterdir()) == []


def test_pretrained_models_load_as_keras_models() -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 28, 28), np.uint8)
    for name in ("photo", "baseline"):
        model, recipe, about = export.load_as_keras(PRETRAINED / f"{name}.onnx")
        found = tta.with_tta(model, recipe.tta_views).predict(images[..., None], verbose=0)
        np.testing.assert_allclose(
            found, Classifier.load(PRETRAINED / f"{name}.onnx").logits(images), atol=1e-3
        )
        assert about["recipe"] == name


def test_export_errors_are_one_line(own_run: Run, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(own_run.path, bare)
    (bare / "model.keras").unlink()
    refused(wardrobe_here("export", bare, cwd=tmp_path), 1, "has no model.keras", "resume")
    refused(
        wardrobe_here("export", bare, "--format", "coreml", cwd=tmp_path),
        2,
        "'coreml'",
        "onnx, litert, openvino",
    )
    (bare / "model.keras").write_bytes(own_run.keras_path.read_bytes()[:5000])
    refused(
        wardrobe_here("export", bare, cwd=own_run.path.parent),
        1,
        "model.keras cannot be read",
        "train the run",
    )
    (tmp_path / "file").write_text("")
    result = wardrobe_here(
        "export", own_run.path, "--out", tmp_path / "file", cwd=own_run.path.parent
    )
    refused(result, 1, "file is not writable (Not a directory); give --out")


@pytest.mark.parametrize("name", ["model.onnx", "model-int8.tflite", "model.xml"])
def test_a_truncated_file_is_an_error(
    exported: tuple[Path, dict[str, Any]], name: str, tmp_path: Path
) -> None:
    content = (exported[0] / "run" / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    result = wardrobe_here("predict", "any.png", "--model", tmp_path / name, cwd=tmp_path)
    refused(result, 1, name, "is not a model that")


def test_a_missing_extra_is_reported_with_its_install_command(tmp_path: Path) -> None:
    code = """if True:
        import sys
        for name in ("ai_edge_litert", "openvino"):
            sys.modules[name] = None
        import importlib.util as util
        found = util.find_spec
        def hide(name, *rest):
            return None if sys.modules.get(name, 0) is None else found(name, *rest)
        util.find_spec = hide
        from wardrobe.cli import main
        main()
    """
    for arguments in (
        ["export", "photo", "--format", "litert"],
        ["predict", "x.png", "--model", "model.xml"],
    ):
        (tmp_path / "model.xml").write_text("<net/>")
        result = subprocess.run(
            [sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True
        )
        assert result.returncode == 1
        assert "pip install 'wardrobe-cnn[export]'" in result.stderr
        assert "Traceback" not in result.stderr
