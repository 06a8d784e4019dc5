"""A convolutional network for Fashion-MNIST in one file: plain Keras, NumPy and Matplotlib.

Claim:   90.96 % test accuracy (n = 1 run; 7 minutes of CPU time on two cores of an AMD EPYC).
Install: pip install keras tensorflow matplotlib
Run:     python examples/baseline.py, or paste this file into a Colab cell. Read from top to bottom.
Writes:  samples, curves, predictions, mistakes and filters (.png) into runs/baseline-example.
"""

from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np

CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
           "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")  # fmt: skip
BLUE, RED, GREY = "#0072B2", "#C62828", "#9AA0A6"  # right, wrong, neither
FOLDER = Path("runs/baseline-example")
FOLDER.mkdir(parents=True, exist_ok=True)
plt.rc("figure.constrained_layout", use=True, w_pad=0.1)  # inches
plt.rc("savefig", dpi=150, bbox="tight")  # tight: no label is cut off at the edge
plt.rc("axes", titlesize=10)  # points

##############################################
#               Load and look                #
##############################################
# Images: uint8, (60000, 28, 28) to train and (10000, 28, 28) to test. Labels: 0-9, as in CLASSES.
(x_train, y_train), (x_test, y_test) = keras.datasets.fashion_mnist.load_data()

# hstack joins 16 images of a class into a row, (28, 448); vstack joins ten rows, (280, 448).
samples = np.vstack([np.hstack(x_train[y_train == label][:16]) for label in range(10)])
figure, axes = plt.subplots(figsize=(10, 6))
axes.imshow(samples, cmap="gray")
axes.set_yticks(np.arange(10) * 28 + 14, CLASSES)  # a row is 28 pixels high; its middle is at 14
axes.set(xticks=[], title="Training images: 16 of each class")
figure.savefig(FOLDER / "samples.png")

##############################################
#              Scale and split               #
##############################################
# Pixels 0-255 become 0-1: initial weights and Adam's step size suit inputs of about that size.
# The new last axis is the channel that Conv2D expects: (60000, 28, 28, 1).
x_train, x_test = (x[..., None].astype("float32") / 255 for x in (x_train, x_test))

# The last twelfth, 5,000 images, is for validation: no weight is fitted to it.
cut = len(x_train) - len(x_train) // 12
(x_train, x_val), (y_train, y_val) = np.split(x_train, [cut]), np.split(y_train, [cut])

##############################################
#              Model and train               #
##############################################
model = keras.Sequential([
    keras.Input((28, 28, 1)),
    keras.layers.Conv2D(32, 3, activation="relu"),  # (26, 26, 32): a 3x3 kernel loses the border
    keras.layers.MaxPooling2D(2),  # (13, 13, 32): the largest value of each 2x2 square
    keras.layers.Conv2D(64, 3, activation="relu"),  # (11, 11, 64)
    keras.layers.MaxPooling2D(2),  # (5, 5, 64): the odd last row and column are dropped
    keras.layers.Flatten(),  # (1600,)
    keras.layers.Dense(128, activation="relu"),  # (128,): 91 % of the 225,034 weights are here
    keras.layers.Dense(10),  # (10,): logits, raw scores that softmax turns into probabilities
])  # fmt: skip
model.summary()
# from_logits=True: the loss applies softmax itself, in a form that does not overflow.
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(optimizer="adam", loss=loss, metrics=["accuracy"])
# No seed is set: with one, Keras on TensorFlow repeats the same order of images in every epoch.
fit = model.fit(x_train, y_train, batch_size=32, epochs=10, validation_data=(x_val, y_val))

figure, panels = plt.subplots(1, 2, figsize=(10, 4))
for axes, name in zip(panels, ("accuracy", "loss"), strict=True):
    for key, label, colour in ((name, "training", GREY), (f"val_{name}", "validation", BLUE)):
        axes.plot(range(1, 11), fit.history[key], "o-", color=colour, label=label)
    axes.set(title=name.capitalize(), xlabel="epoch", xticks=range(1, 11))
    axes.grid(alpha=0.3)
    axes.legend()
figure.savefig(FOLDER / "curves.png")

##############################################
#         Test: once, after training         #
##############################################
logits = model.predict(x_test, verbose=0)  # (10000, 10)
probabilities = keras.ops.convert_to_numpy(keras.ops.softmax(logits))  # each row sums to 1
predicted = probabilities.argmax(axis=1)
print(f"Test accuracy: {(predicted == y_test).mean():.2%} of {len(y_test):,} images")

mistakes = np.flatnonzero(predicted != y_test)
for name, title, chosen in (
    ("predictions", "The first 12 test images", range(12)),
    ("mistakes", f"The first 12 of {len(mistakes):,} mistakes", mistakes[:12]),
):
    figure, axes = plt.subplots(4, 6, figsize=(12, 9))
    figure.suptitle(f"{title}      ✓ blue: the actual class      ✗ red: a wrong prediction")
    for i, picture, bars in zip(chosen, axes[:, ::2].flat, axes[:, 1::2].flat, strict=False):
        mark, colour = ("✓", BLUE) if predicted[i] == y_test[i] else ("✗", RED)
        picture.imshow(x_test[i], cmap="gray")
        picture.set(xticks=[], yticks=[], xlabel=f"actual: {CLASSES[y_test[i]]}")
        answer = f"{mark} {CLASSES[predicted[i]]} {min(probabilities[i].max(), 0.99):.0%}"
        picture.set_title(answer, color=colour)
        for bar, label in zip(bars.barh(CLASSES, probabilities[i]), range(10), strict=True):
            bar.set_color(BLUE if label == y_test[i] else RED if label == predicted[i] else GREY)
        bars.set(xlim=(0, 1), ylim=(9.5, -0.5), xticks=[0, 1], xticklabels=["0%", "100%"])
        bars.spines[["top", "right"]].set_visible(False)
    figure.savefig(FOLDER / f"{name}.png")

##############################################
#            First-layer filters             #
##############################################
filters = model.layers[0].get_weights()[0]  # (3, 3, 1, 32): height, width, input channel, filter
maps = keras.Model(model.inputs, model.layers[0].output).predict(x_val[:1], verbose=0)
limit = np.quantile(np.abs(filters), 0.95)  # beyond it, colours no longer deepen
left, right = plt.figure(figsize=(12, 3.2)).subfigures(1, 2, wspace=0.05)
left.suptitle("The 32 filters: purple positive, orange negative")
right.suptitle("What each filter finds in one image")
panels = zip(left.subplots(4, 8).flat, right.subplots(4, 8).flat, strict=True)
for i, (kernel, response) in enumerate(panels):
    kernel.imshow(filters[:, :, 0, i], cmap="PuOr", vmin=-limit, vmax=limit)
    response.imshow(maps[0, :, :, i], cmap="gray")
    plt.setp((kernel, response), xticks=[], yticks=[])
plt.savefig(FOLDER / "filters.png")
