"""Batch normalisation for training; in use it is part of the convolution before it (`architecture.to_inference`)."""

from typing import Any

import keras


@keras.saving.register_keras_serializable("wardrobe")
class BatchNorm(keras.layers.BatchNormalization):
    """Gives each channel mean 0 and variance 1 over the batch, then adds a learnt number.

    Not scaled, so that normalising and taking the largest of a pool can change places. Under TensorFlow it calls the
    fused kernel: Keras's own means are ten times as slow in bfloat16 (docs/log.md). Other backends run Keras's.

    Source: Ioffe and Szegedy 2015, arXiv 1502.03167; unscaled: KellerJordan/cifar10-airbench.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"momentum": 0.9, "epsilon": 1e-5, "scale": False} | options)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if keras.backend.backend() != "tensorflow":
            return super().call(inputs, training=training, mask=mask)
        return self._fused(inputs, bool(training))

    def _fused(self, inputs: Any, training: bool) -> Any:
        import tensorflow as tf

        offset = tf.convert_to_tensor(self.beta)
        unknown = tf.constant([])  # in training it takes the batch's own
        mean = unknown if training else tf.convert_to_tensor(self.moving_mean)
        variance = unknown if training else tf.convert_to_tensor(self.moving_variance)
        normalised, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.ones_like(offset),
            offset=offset,
            mean=mean,
            variance=variance,
            epsilon=self.epsilon,
            is_training=training,
        )
        if training:
            for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign(self.momentum * moving + (1 - self.momentum) * value)
        return normalised
