"""The recipe of the garment finder."""

from dataclasses import dataclass


@dataclass(frozen=True)
class FinderRecipe:
    """The fields of the finder's recipe: the network, the optimization, the augmentation."""

    name: str = "finder"

    # Network
    filters: tuple[int, ...] = (12, 24, 40, 64)  # of each level of the U-Net

    # Optimization: Adam, linear warm-up, linear decay towards 0
    epochs: int = 12
    batch_size: int = 32  # photos per step
    learning_rate: float = 4e-3  # its peak

    # Training photos; each is mirrored with probability 0.5
    max_zoom: float = 0.3  # the logarithm of the scale, up to this each way
    stretch: float = 0.12  # the logarithm of width to height, one standard deviation
    tilt: float = 0.15  # radians, one standard deviation
    shift: float = 0.07  # of the side, one standard deviation; cuts garments off at the edge
    plain_probability: float = 0.12  # of a background of one colour
    crop_probability: float = 0.2  # of a piece of another photo as the background
    tile_probability: float = 0.15  # of a shoe or a bag of Fashion-MNIST's shape on such a piece

    # Cleaning of the teacher's masks
    clean_after: int = 5  # epochs; then photos are dropped on whose masks both disagree
    clean_below: float = 0.6  # IoU of the finder's mask and the teacher's


FINDER = FinderRecipe()
"""The finder that ships: a U-Net of 170,416 parameters, 218 kB in int8.

Command:  python -m wardrobe.training.finder
Expected: IoU 0.902 with the teacher's masks on the 335 validation photos that have one, in about
          200 s of training on two cores of an AMD EPYC, after 90 s for the teacher's masks.
Source:   U-Net: Ronneberger, Fischer and Brox 2015, arXiv 1505.04597; the teacher, GrabCut: Rother,
          Kolmogorov and Blake 2004; cut and paste: Dwibedi, Misra and Hebert 2017, arXiv
          1708.01642; dropping what the network disagrees with: the small-loss trick, arXiv
          1804.06872.
"""
