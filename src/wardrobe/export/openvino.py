"""OpenVINO: writes an .xml and a .bin file by Keras, int8 by NNCF."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from wardrobe.export.calibration import Images, iterate_batches
from wardrobe.inference import engines


def write(model: keras.Model, path: Path, calibration: Images | None) -> None:
    """Writes the model in float32, or in int8 if there are calibration images."""
    openvino = engines.import_openvino()
    model.export(str(path), format="openvino", verbose=False)
    loaded = openvino.Core().read_model(path)
    loaded.output().set_names({engines.LOGITS})
    if calibration is None:
        return _save(loaded, path)
    import nncf
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    # NNCF's defaults, mean ranges and bias correction, lose up to 0.3 points of accuracy.
    parameters = nncf.AdvancedQuantizationParameters(
        activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
        disable_bias_correction=True,
    )
    images = list(iterate_batches(calibration, 1))
    quantized = nncf.quantize(
        loaded, nncf.Dataset(images), subset_size=len(images), advanced_parameters=parameters
    )
    _save(quantized, path)


def write_metadata(path: Path, metadata: Mapping[str, Any]) -> None:
    """Adds metadata to the file, with the options that its accuracy is promised for."""
    model = engines.import_openvino().Core().read_model(path)
    complete = {**metadata, "compile_options": engines.PRECISION}
    model.set_rt_info(json.dumps(complete, ensure_ascii=False), list(engines.RT_INFO))
    _save(model, path)


def _save(model: Any, path: Path) -> None:
    """Replaces the file that the model was read from, whose .bin file is still memory-mapped."""
    new = path.with_stem(f"{path.stem}-new")
    engines.import_openvino().save_model(model, new, compress_to_fp16=False)
    for extension in (".bin", ".xml"):
        new.with_suffix(extension).replace(path.with_suffix(extension))
