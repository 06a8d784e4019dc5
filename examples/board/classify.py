"""Classifies an image with a .tflite file, as on a board: LiteRT, NumPy and Pillow alone.

    pip install ai-edge-litert numpy pillow
    python classify.py model.tflite garment.png

The image is one garment, light on black, as `wardrobe predict --save-input` writes it. Class names
and temperature come from the archive at the end of the model file.
"""

import json
import sys
import zipfile

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

SIDE = 28


def main(model: str, picture: str) -> None:
    """Prints the classes of `picture` by the .tflite file `model`, the likeliest first."""
    with zipfile.ZipFile(model) as archive:
        about = json.loads(archive.read("wardrobe.json"))
    names, temperature = about["class_names"], about["temperature"]

    interpreter = Interpreter(model_path=model)
    interpreter.allocate_tensors()
    pixels = np.asarray(Image.open(picture).convert("L").resize((SIDE, SIDE)), np.float32)  # 0-255
    run = interpreter.get_signature_runner()
    logits = run(pixels=pixels[None, ..., None])["logits"][0] / temperature

    powers = np.exp(logits - logits.max())
    for index in np.argsort(-logits):
        probability = min(powers[index] / powers.sum(), 0.999)  # 100 % would be certainty
        text = f"{probability:.1%}" if probability >= 0.0005 else "<0.1%"
        print(f"{names[index]:<12} {text:>6}")


if __name__ == "__main__":
    main(*sys.argv[1:])
