"""The precision that layers compute in: bfloat16 only on devices with hardware for it.

Other devices reject it, or emulate it more slowly than they compute in float32.
"""

import keras

from wardrobe.models.recipes import BFLOAT16, FLOAT32
from wardrobe.runs import provenance

AMPERE = 8  # compute capability, major: the first NVIDIA GPUs with bfloat16 (A100, RTX 30 series)


def choose_precision(precision: str) -> str:
    """Returns the recipe's precision, or "float32" if a device is not known to have bfloat16."""
    if precision != BFLOAT16:
        return precision
    kinds = {device.partition(":")[0] for device in keras.distribution.list_devices()}  # "gpu:0"
    support = {"tpu": lambda: True, "gpu": _gpus_support_bfloat16, "cpu": _cpu_supports_bfloat16}
    return BFLOAT16 if all(kind in support and support[kind]() for kind in kinds) else FLOAT32


def _cpu_supports_bfloat16() -> bool:
    """Returns whether the processor has instructions for bfloat16 that the backend uses."""
    extensions = provenance.describe_machine()["vector_extensions"]
    has_instructions = not provenance.BFLOAT16.isdisjoint(extensions)
    return has_instructions and keras.backend.backend() == "tensorflow"


def _gpus_support_bfloat16() -> bool:
    """Returns whether every GPU of this process is an NVIDIA Ampere GPU or a later one."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf  # here: JAX runs without TensorFlow

        gpus = tf.config.get_visible_devices("GPU")
        details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
        # A tuple such as (8, 6); Apple's and AMD's GPUs have none.
        return all(each.get("compute_capability", (0, 0))[0] >= AMPERE for each in details)
    if keras.backend.backend() == "jax":
        import jax

        # Text such as "8.6" on NVIDIA; "gfx90a" on AMD, which has no number before the point.
        versions = (str(getattr(gpu, "compute_capability", "")) for gpu in jax.local_devices())
        majors = [version.partition(".")[0] for version in versions]
        return all(major.isdecimal() and int(major) >= AMPERE for major in majors)
    return False
