"""Batch normalization for training; for inference it is folded into the convolutions."""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt


@keras.saving.register_keras_serializable("wardrobe")
class BatchNorm(keras.layers.BatchNormalization):
    """Batch normalization with a learned offset, without a learned scale.

    Without a scale it can follow max pooling with the same result, at a quarter of the cost. On
    TensorFlow it calls the fused kernel, because Keras's own means are ten times slower in
    bfloat16. Other backends run Keras's layer.

    Source: Ioffe and Szegedy 2015, arXiv 1502.03167; unscaled: KellerJordan/cifar10-airbench.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"momentum": 0.9, "epsilon": 1e-5, "scale": False} | options)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if keras.backend.backend() != "tensorflow":
            return super().call(inputs, training=training, mask=mask)
        return self._normalize_fused(inputs, bool(training))

    def _normalize_fused(self, inputs: Any, training: bool) -> Any:
        import tensorflow as tf  # here: JAX runs without TensorFlow

        offset = tf.convert_to_tensor(self.beta)
        empty = tf.constant([])  # in training, the kernel computes both from the batch
        mean = empty if training else tf.convert_to_tensor(self.moving_mean)
        variance = empty if training else tf.convert_to_tensor(self.moving_variance)
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.ones_like(offset),  # the kernel requires one
            offset=offset,
            mean=mean,
            variance=variance,
            epsilon=self.epsilon,
            is_training=training,
        )
        if training:
            for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign(self.momentum * moving + (1 - self.momentum) * value)
        return outputs


def fold_batch_norm(model: keras.Model, name: str) -> list[npt.NDArray[np.float32]]:
    """Returns a layer's kernel and bias, with the layer `name`_norm that follows it folded in.

    (wx - mean) / deviation + beta = w'x + b'. A layer with a bias has no such layer.
    """
    weights: list[npt.NDArray[np.float32]] = model.get_layer(name).get_weights()
    if len(weights) == 2:
        return weights
    norm = model.get_layer(f"{name}_norm")
    beta, mean, variance = norm.get_weights()  # each (filters,)
    scale = 1 / np.sqrt(variance + norm.epsilon)  # (filters,): the kernel's last axis
    return [weights[0] * scale, beta - mean * scale]  # (h, w, in, out), (out,)
