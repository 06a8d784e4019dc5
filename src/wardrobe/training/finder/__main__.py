"""Trains the garment finder on photos of clothing and writes it into a folder.

If interrupted, run the same command again: it starts over, and takes five minutes on two cores.
"""

import argparse
import csv
import sys
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from wardrobe.data import FASHION_MNIST, VALIDATION, Split, clothing_photos, load_data
from wardrobe.data.clothing_photos import compute_checksum, list_photos
from wardrobe.data.dataset import TRAIN
from wardrobe.errors import UsageError, WardrobeError
from wardrobe.labels import CLASS_NAMES
from wardrobe.models import keras_settings
from wardrobe.runs import atomic_write, describe_provenance, write_json
from wardrobe.training.finder import teacher
from wardrobe.training.finder.recipe import FINDER, FinderRecipe
from wardrobe.training.finder.teacher import Examples

# Kinds that the photos do not have, or only as pairs seen from above.
FURTHER = ("Sandal", "Sneaker", "Bag", "Ankle boot")
DRAWN = 24  # validation photos in masks.png
TEACHER_COLOUR, FINDER_COLOUR = (255, 140, 0), (0, 110, 255)  # orange and blue


def main() -> int:
    """Runs the command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m wardrobe.training.finder", description=__doc__)
    parser.add_argument("--photos-dir", type=Path, help="has train/ and validation/")
    parser.add_argument("--data-dir", type=Path, help="of the Fashion-MNIST files")
    parser.add_argument("--out", type=Path, default=Path("runs/finder"), help="for the results")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    try:
        root = clothing_photos.locate(options.photos_dir)
        tiles = load_data(FASHION_MNIST, options.data_dir).train
        train(root, tiles, options.out, options.seed)
    except WardrobeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    return 0


def train(root: Path, tiles: Split, out: Path, seed: int, recipe: FinderRecipe = FINDER) -> None:
    """Trains the finder on `root`/train, scores it on `root`/validation, and writes into `out`.

    Args:
        tiles: the training images of Fashion-MNIST.
    """
    with keras_settings.loading_keras():
        from wardrobe.training.finder import fit  # here: Keras is slow to load

    out.mkdir(parents=True, exist_ok=True)
    listed = {split: [*list_photos(root / split)] for split in (TRAIN, VALIDATION)}
    masks = {split: teacher.make_examples(paths) for split, paths in listed.items()}
    further = tiles.images[np.isin(tiles.labels, [CLASS_NAMES.index(name) for name in FURTHER])]
    network, history = fit.fit(recipe, masks[TRAIN], masks[VALIDATION], further, seed)
    with atomic_write(out / "model.keras") as temporary:
        network.save(temporary)
    with atomic_write(out / "history.csv") as temporary, temporary.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, history[0])
        writer.writeheader()
        writer.writerows(history)
    file = out / "finder-int8.onnx"
    metadata = {"recipe": recipe.name, "seed": str(seed)}
    iou = fit.export_finder(network, file, masks[TRAIN], masks[VALIDATION], metadata)
    with atomic_write(out / "masks.png") as temporary:
        found = fit.predict_with_onnx(file, masks[VALIDATION])
        draw_masks(masks[VALIDATION], found).save(temporary)
    facts = {
        "recipe": asdict(recipe),
        "seed": seed,
        "photos": {split: len(paths) for split, paths in listed.items()},
        "with_masks": {split: len(examples) for split, examples in masks.items()},
        "sha256": {split: compute_checksum(root / split, each) for split, each in listed.items()},
        "val_iou": history[-1]["val_iou"],
        "val_iou_int8": iou,
        **describe_provenance(),
    }
    write_json(out / "finder.json", facts)
    print(f"{file}: IoU with the teacher {iou:.3f} on {len(found)} validation photos")


def draw_masks(examples: Examples, masks: npt.NDArray[np.bool_], columns: int = 6) -> Image.Image:
    """Draws photos with the outlines of the teacher's masks in orange, the finder's in blue."""
    chosen = np.linspace(0, len(examples) - 1, min(DRAWN, len(examples))).astype(int)
    side = 2 * teacher.SIDE
    sheet = Image.new("RGB", (columns * side, -(-len(chosen) // columns) * side))
    for place, i in enumerate(chosen):
        photo = cv2.resize(examples.photos[i], (side, side))
        finder = masks[i].astype(np.uint8) * 255
        for mask, colour in ((examples.masks[i], TEACHER_COLOUR), (finder, FINDER_COLOUR)):
            large = (cv2.resize(mask, (side, side)) > 127).astype(np.uint8)
            outlines, _ = cv2.findContours(large, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(photo, outlines, -1, colour, 2)
        sheet.paste(Image.fromarray(photo), (place % columns * side, place // columns * side))
    return sheet


if __name__ == "__main__":
    sys.exit(main())
