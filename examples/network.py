"""A network of one's own, for `wardrobe train --recipe examples/network.py`: a small MobileNet.

Depthwise separable convolutions need a ninth of the arithmetic of 3x3 ones (arXiv 1704.04861).
"""

import keras
from keras import layers

RECIPE = {  # what differs from the recipe "baseline"
    "epochs": 8,
    "batch_size": 128,
    "learning_rate": 3e-3,
    "schedule": "warmup-linear",
}


def build(class_count: int) -> keras.Model:
    """Pixels (n, 28, 28, 1), 0-1 → logits (n, class_count)."""
    pixels = keras.Input((28, 28, 1))
    # Moving averages with Keras's own momentum, 0.99, lag behind a short training.
    x = layers.Conv2D(32, 3, strides=2, padding="same", use_bias=False)(pixels)  # 14x14
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    for filters, strides in ((64, 1), (128, 2), (128, 1)):  # 14x14, 7x7, 7x7
        x = layers.DepthwiseConv2D(3, strides, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
        x = layers.Conv2D(filters, 1, use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    x = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(pixels, layers.Dense(class_count, name="logits")(x))
