"""The shipped garment finder."""

import multiprocessing
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from drawn_photos import Mask, Pixels, overlap, scene, tiles, white, wood

from wardrobe import photo
from wardrobe.photo import finder
from wardrobe.training.finder import unet


@pytest.mark.parametrize("label", [0, 2, 4, 6, 8])
@pytest.mark.parametrize("floor", [wood(), white(), tiles()])
def test_the_garment_is_found_on_any_floor(floor: Pixels, label: int) -> None:
    image, where = scene(floor, label)
    assert overlap(photo.prepare_steps(image).garment.mask, where) > 0.8


def test_every_size_has_a_mask_of_its_own_size() -> None:
    for size in ((8, 160), (160, 8), (1, 1), (97, 300)):
        assert finder.segment_with_network(np.zeros((*size, 3), np.uint8)).shape == size


def segment_wood() -> Mask:
    return finder.segment_with_network(np.asarray(scene(wood())[0]))


def test_threads_and_forks_find_the_same_mask() -> None:
    expected = segment_wood()  # opens the session before the fork
    with ThreadPoolExecutor(4) as pool:
        masks = [future.result() for future in [pool.submit(segment_wood) for _ in range(12)]]
    with multiprocessing.get_context("fork").Pool(1) as processes:
        masks.append(processes.apply_async(segment_wood).get(timeout=60))
    for mask in masks:
        np.testing.assert_array_equal(mask, expected)


def test_onnx_runtime_is_imported_at_the_first_photo() -> None:
    code = "import sys, wardrobe.photo; assert 'onnxruntime' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_network_has_the_size_of_what_photo_gives_it() -> None:
    assert unet.build((4, 8)).input_shape == (None, finder.SIDE, finder.SIDE, 3)
