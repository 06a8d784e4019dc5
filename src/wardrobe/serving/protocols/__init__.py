"""The two standard inference protocols. Bytes in, arrays out, and back; nothing is classified here.

- `v2`: the Open Inference Protocol (V2) of KServe and Triton
- `tensorflow_serving`: the REST API of TensorFlow Serving
- `arrays`: JSON → images, as both protocols send them

Both serve one model. Its input is "pixels": n images of 28x28 numbers, 0-255.
"""

from wardrobe.serving.protocols import tensorflow_serving, v2

__all__ = ["tensorflow_serving", "v2"]
