"""How quickly one model answers on one engine, and what it takes: a process of its own, so that nothing is shared.

`python -m benchmarks.speed.engine_speed ENGINE FILE SECONDS` prints a JSON object. ENGINE is "file", for a file of
`wardrobe export`, or a way to call the network of a .keras file: "predict" for `model.predict`, "call" for `model()`.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Answer = Callable[[Floats], Any]

FILE, PREDICT, CALL = "file", "predict", "call"
BATCHES = 1, 8, 32, 128, 256  # images at once
LEAST = 5  # answers that a measurement takes at least


def measure(engine: str, file: Path, seconds: float) -> dict[str, Any]:
    """Measures one engine.

    Args:
        seconds: of each measurement.

    Returns:
        "load_seconds" from nothing to the first answer, its imports included; "p50", "p99" of one image, in seconds;
        "best_batch" and its "images_per_second"; "peak_mib" of memory.
    """
    pixels = np.random.default_rng(0).integers(0, 256, (max(BATCHES), 28, 28, 1)).astype(np.float32)
    began = time.perf_counter()
    answer = _opened(engine, file)
    answer(pixels[:1])
    load = time.perf_counter() - began
    one = sorted(_times(answer, pixels[:1], seconds))
    rates = {
        count: count / float(np.median(_times(answer, pixels[:count], seconds)))
        for count in BATCHES
    }
    best = max(rates, key=lambda count: rates[count])
    return {
        "load_seconds": load,
        "p50": one[len(one) // 2],
        "p99": one[int(0.99 * len(one))],
        "best_batch": best,
        "images_per_second": rates[best],
        "peak_mib": _peak_kib() / 1024,
    }


def _peak_kib() -> int:
    """Returns the peak of resident memory; where /proc tells it, without that of the process that began this one."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _opened(engine: str, file: Path) -> Answer:
    if engine == FILE:
        from wardrobe.inference import engines

        return engines.open_engine(file).run
    import keras

    model = keras.saving.load_model(file)
    if engine == PREDICT:
        return lambda pixels: model.predict(pixels, verbose=0)
    return lambda pixels: np.asarray(model(pixels, training=False))


def _times(answer: Answer, pixels: Floats, seconds: float) -> list[float]:
    """Returns how long each answer took: those of `seconds`, and `LEAST` at least, after two that do not count."""
    for _ in range(2):
        answer(pixels)
    found: list[float] = []
    until = time.perf_counter() + seconds
    while len(found) < LEAST or time.perf_counter() < until:
        began = time.perf_counter()
        answer(pixels)
        found.append(time.perf_counter() - began)
    return found


def main() -> None:
    """Prints what `measure` returns."""
    engine, file, seconds = sys.argv[1:]
    print(json.dumps(measure(engine, Path(file), float(seconds))))


if __name__ == "__main__":
    main()
