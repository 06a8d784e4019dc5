"""Models that several trainings of a test file share, because tracing one takes longer than it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import pytest

from wardrobe.training import loop


@contextmanager
def share_traced_models() -> Iterator[None]:
    """In its block, trainings with equal settings use one model, so TensorFlow traces it once.

    Each training still builds its own model, and starts from that model's weights, optimizer state
    and random state: what a training would not restore, it would not find here either.
    """
    compile_model = loop.compile_model
    models: dict[str, tuple[keras.Model, Any]] = {}  # with the learning rate that was traced

    def compile_or_share(recipe: Any, classes: int, seed: int, steps: int, *more: Any) -> Any:
        fresh = compile_model(recipe, classes, seed, steps, *more)
        key = repr((recipe, classes, steps, more, loop.STEPS_PER_CALL))
        shared, schedule = models.setdefault(key, (fresh, fresh.optimizer._learning_rate))
        if shared.optimizer._learning_rate is not schedule:  # it has been traced with another
            models[key] = fresh, fresh.optimizer._learning_rate
            return fresh
        pairs = zip(loop._list_variables(shared), loop._list_variables(fresh), strict=True)
        for variable, start in pairs:
            assert variable.path.split("/")[1:] == start.path.split("/")[1:]
            variable.assign(keras.ops.copy(start))
        return shared

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "compile_model", compile_or_share)
        yield
