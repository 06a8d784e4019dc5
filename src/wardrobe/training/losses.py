"""Losses, and the accuracy that is reported during training."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from wardrobe.models.recipes import Recipe


def balance_classes(labels: npt.NDArray[np.integer], class_count: int) -> list[float]:
    """Returns a weight for each class: the mean number of images in a class, over its own number.

    Args:
        labels: (n,) of the training images. A class without any has the weight 0.

    Source: `class_weight="balanced"` of scikit-learn; King and Zeng 2001.
    """
    counts = np.bincount(labels, minlength=class_count)
    mean = len(labels) / np.count_nonzero(counts)
    return [float(mean / count) if count else 0.0 for count in counts]


def build_loss_and_metric(
    recipe: Recipe, class_weights: Sequence[float] | None = None
) -> tuple[keras.losses.Loss, keras.metrics.Metric]:
    """Returns the recipe's loss, from logits, and the metric "accuracy", which has no weights."""
    if not recipe.photo_fraction:  # integer targets (n,), otherwise multi-hot (n, k + 1)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        accuracy = keras.metrics.sparse_categorical_accuracy
    else:
        loss, accuracy = CrossEntropyWithUnknown(), accuracy_with_unknown
    if recipe.ensemble_size > 1:
        loss = EnsembleMemberLoss(loss)
    if class_weights is not None:
        loss = ClassWeightedLoss(loss, class_weights)
    if recipe.ensemble_size > 1:
        return loss, EnsembleMeanMetric(accuracy, name="accuracy")
    return loss, keras.metrics.MeanMetricWrapper(accuracy, name="accuracy")


@keras.saving.register_keras_serializable("wardrobe")
class CrossEntropyWithUnknown(keras.losses.Loss):
    """Cross-entropy over k classes and "unknown", whose logit is fixed at 0.

    Targets: (n, k + 1), 1 for each class that counts as correct, the last for unknown. Logits:
    (n, k). The loss is -log of the sum of the correct classes' probabilities, so that an image with
    several correct classes does not say which of them it is. The network learns logits far below 0
    for images of no class, so that `confidence.familiarity` is the log-odds of a class against
    unknown.

    Source: learning from partial labels, Cour, Sapp and Taskar 2011.
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        logits = _append_unknown(y_pred)  # (n, k + 1)
        correct = ops.where(y_true > 0, logits, -1e9)  # exp of the others is 0
        return ops.logsumexp(logits, axis=-1) - ops.logsumexp(correct, axis=-1)


@keras.saving.register_keras_serializable("wardrobe")
class EnsembleMemberLoss(keras.losses.Loss):
    """The mean of each member's own loss: every member learns as if it were alone.

    Logits: (n, members, k).

    Source: Cireșan et al. 2012 (arXiv 1202.2745); deep ensembles (arXiv 1612.01474).
    """

    def __init__(self, loss: keras.losses.Loss | dict[str, Any], **options: Any) -> None:
        super().__init__(**options)
        self.loss = keras.losses.get(loss)  # a config when Keras loads a checkpoint

    def call(self, y_true: Any, y_pred: Any) -> Any:
        members = [self.loss.call(y_true, y_pred[:, i]) for i in range(y_pred.shape[1])]  # (n,)
        return ops.mean(ops.stack(members), axis=0)  # (members, n) → (n,)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "loss": keras.losses.serialize(self.loss)}


@keras.saving.register_keras_serializable("wardrobe")
class ClassWeightedLoss(keras.losses.Loss):
    """A loss times the weight of each image's class; targets: (n,), integers."""

    def __init__(
        self,
        loss: keras.losses.Loss | dict[str, Any],
        class_weights: Sequence[float],
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.loss, self.class_weights = keras.losses.get(loss), list(class_weights)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        labels = ops.cast(ops.reshape(y_true, (-1,)), "int32")  # Keras makes them float32
        weights = ops.take(ops.convert_to_tensor(self.class_weights, y_pred.dtype), labels)
        return self.loss.call(y_true, y_pred) * weights  # (n,)

    def get_config(self) -> dict[str, Any]:
        own = {"loss": keras.losses.serialize(self.loss), "class_weights": self.class_weights}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("wardrobe")
class EnsembleMeanMetric(keras.metrics.MeanMetricWrapper):
    """A metric of the ensemble's answer, the mean of its members' logits (n, members, k)."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        return super().update_state(y_true, ops.mean(y_pred, axis=1), sample_weight)


@keras.saving.register_keras_serializable("wardrobe")  # type: ignore[untyped-decorator]
def accuracy_with_unknown(y_true: Any, y_pred: Any) -> Any:
    """Returns whether each answer is right, 0 or 1: (n,); for `CrossEntropyWithUnknown`."""
    answers = ops.argmax(_append_unknown(y_pred), axis=-1)  # (n,)
    chosen = ops.one_hot(answers, y_true.shape[-1])  # (n, k + 1)
    return ops.sum(ops.cast(y_true, chosen.dtype) * chosen, axis=-1)


def _append_unknown(logits: Any) -> Any:
    """Appends the logit 0 of "unknown": (n, k) → (n, k + 1)."""
    return ops.concatenate([logits, ops.zeros_like(logits[:, :1])], axis=-1)
