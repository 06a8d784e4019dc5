"""Speed and memory of one model on one engine, in a process of its own.

`python -m benchmarks.speed.engine_speed ENGINE FILE SECONDS` prints a JSON object. ENGINE is "file"
for an exported file, or for a .keras file "predict" (`model.predict`) or "call" (`model()`).
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
Infer = Callable[[Floats], Any]  # (n, 28, 28, 1), 0-255 → logits

FILE, PREDICT, CALL = "file", "predict", "call"
BATCH_SIZES = 1, 8, 32, 128, 256
MIN_CALLS = 5  # per measurement
WARM_UP_CALLS = 2


def measure_engine(engine: str, file: Path, seconds: float) -> dict[str, Any]:
    """Measures one engine.

    Args:
        engine: "file", "predict" or "call".
        seconds: duration of each measurement.

    Returns:
        "load_seconds": until the first answer, including imports; "p50" and "p99": seconds for
        one image; "best_batch" and its "images_per_second"; "peak_mib": peak memory in MiB.
    """
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (max(BATCH_SIZES), 28, 28, 1)).astype(np.float32)
    start = time.perf_counter()
    infer = _load_engine(engine, file)
    infer(pixels[:1])
    load_seconds = time.perf_counter() - start
    latencies = sorted(_time_calls(infer, pixels[:1], seconds))
    rates = {
        size: size / float(np.median(_time_calls(infer, pixels[:size], seconds)))
        for size in BATCH_SIZES
    }
    best = max(rates, key=lambda size: rates[size])
    return {
        "load_seconds": load_seconds,
        "p50": latencies[len(latencies) // 2],
        "p99": latencies[int(0.99 * len(latencies))],
        "best_batch": best,
        "images_per_second": rates[best],
        "peak_mib": _read_peak_kib() / 1024,
    }


def _read_peak_kib() -> int:
    """Returns the peak resident memory in KiB.

    VmHWM is preferred: ru_maxrss also covers the parent process before exec.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _load_engine(engine: str, file: Path) -> Infer:
    if engine == FILE:
        from wardrobe.inference import engines

        return engines.open_engine(file).run
    import keras

    model = keras.saving.load_model(file)
    if engine == PREDICT:
        return lambda pixels: model.predict(pixels, verbose=0)
    return lambda pixels: np.asarray(model(pixels, training=False))


def _time_calls(infer: Infer, pixels: Floats, seconds: float) -> list[float]:
    """Returns the seconds of each call, over `seconds` and at least `MIN_CALLS` calls."""
    for _ in range(WARM_UP_CALLS):
        infer(pixels)
    durations: list[float] = []
    end = time.perf_counter() + seconds
    while len(durations) < MIN_CALLS or time.perf_counter() < end:
        start = time.perf_counter()
        infer(pixels)
        durations.append(time.perf_counter() - start)
    return durations


def main() -> None:
    """Prints the result of `measure_engine` for the arguments ENGINE FILE SECONDS."""
    engine, file, seconds = sys.argv[1:]
    print(json.dumps(measure_engine(engine, Path(file), float(seconds))))


if __name__ == "__main__":
    main()
