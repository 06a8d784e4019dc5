"""What training lowers, and the accuracy that it shows meanwhile."""

from typing import Any

import keras
from keras import ops

from wardrobe.models.recipes import Recipe


def build_loss_and_metric(recipe: Recipe) -> tuple[keras.losses.Loss, keras.metrics.Metric]:
    """Returns the recipe's loss, from logits, and the metric "accuracy"."""
    if recipe.augment == "none":
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        accuracy = keras.metrics.sparse_categorical_accuracy
    else:
        loss, accuracy = CrossEntropyWithUnknown(), _accuracy_or_none
    if recipe.ensemble_size > 1:
        return EnsembleMemberLoss(loss), EnsembleMeanMetric(accuracy, name="accuracy")
    return loss, keras.metrics.MeanMetricWrapper(accuracy, name="accuracy")


@keras.saving.register_keras_serializable("wardrobe")
class CrossEntropyWithUnknown(keras.losses.Loss):
    """Cross-entropy over the classes and "none of them", whose logit is 0 by definition.

    Targets (n, k + 1) one-hot, the last for none; logits (n, k). The network learns that logits far below 0 mean none,
    so that `confidence.familiarity` is the log-odds of being one of the classes.
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return ops.categorical_crossentropy(y_true, _or_none(y_pred), from_logits=True)


@keras.saving.register_keras_serializable("wardrobe")
class EnsembleMemberLoss(keras.losses.Loss):
    """The mean of `loss` over the columns of logits (n, columns, k): each learns as if it were alone.

    Source: columns side by side, Cireșan et al. 2012 (arXiv 1202.2745); deep ensembles, arXiv 1612.01474.
    """

    def __init__(self, loss: keras.losses.Loss) -> None:
        super().__init__()
        self.loss = loss

    def call(self, y_true: Any, y_pred: Any) -> Any:
        each = [self.loss.call(y_true, y_pred[:, column]) for column in range(y_pred.shape[1])]
        return ops.mean(ops.stack(each), axis=0)


@keras.saving.register_keras_serializable("wardrobe")
class EnsembleMeanMetric(keras.metrics.MeanMetricWrapper):
    """A metric of the mean over the columns of logits (n, columns, k)."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        return super().update_state(y_true, ops.mean(y_pred, axis=1), sample_weight)


def _accuracy_or_none(y_true: Any, y_pred: Any) -> Any:
    return keras.metrics.categorical_accuracy(y_true, _or_none(y_pred))


def _or_none(logits: Any) -> Any:
    """Appends the logit 0 to logits (n, k)."""
    return ops.concatenate([logits, ops.zeros_like(logits[:, :1])], axis=-1)
