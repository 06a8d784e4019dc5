"""Trains the garment finder: python -m wardrobe.training.finder --photos FOLDER --out FOLDER.

If interrupted, run the same command again: it starts over, and takes two minutes.
"""

import argparse
import csv
import hashlib
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from wardrobe.errors import DataError, WardrobeError
from wardrobe.runs import atomic_write, describe_provenance, write_json
from wardrobe.training.finder import fit, teacher
from wardrobe.training.finder.recipe import FINDER, FinderRecipe
from wardrobe.training.finder.teacher import Examples

DRAWN = 24  # validation photos in masks.png
TEACHER_COLOUR, FINDER_COLOUR = (255, 140, 0), (0, 110, 255)  # orange and blue


def main() -> int:
    """Runs the command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m wardrobe.training.finder", description=__doc__)
    parser.add_argument("--photos", type=Path, required=True, help="has train/ and validation/")
    parser.add_argument("--out", type=Path, default=Path("runs/finder"), help="for the results")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    try:
        train(options.photos, options.out, options.seed)
    except WardrobeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def train(photos: Path, out: Path, seed: int, recipe: FinderRecipe = FINDER) -> None:
    """Trains the finder on `photos`/train, scores it on `photos`/validation, writes into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    paths = {split: list_photos(photos / split) for split in ("train", "validation")}
    training, validation = (teacher.make_examples(each) for each in paths.values())
    network, history = fit.fit(recipe, training, validation, seed)
    with atomic_write(out / "model.keras") as temporary:
        network.save(temporary)
    with atomic_write(out / "history.csv") as temporary, temporary.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, history[0])
        writer.writeheader()
        writer.writerows(history)
    file = out / "finder-int8.onnx"
    metadata = {"recipe": recipe.name, "seed": str(seed)}
    iou = fit.export_finder(network, file, training, validation, metadata)
    with atomic_write(out / "masks.png") as temporary:
        draw_masks(validation, fit.predict_with_onnx(file, validation)).save(temporary)
    facts = {
        "recipe": asdict(recipe),
        "seed": seed,
        "photos": {split: len(each) for split, each in paths.items()},
        "with_masks": {"train": len(training), "validation": len(validation)},
        "sha256": compute_checksum(photos, [path for each in paths.values() for path in each]),
        "val_iou": history[-1]["val_iou"],
        "val_iou_int8": iou,
        **describe_provenance(),
    }
    write_json(out / "finder.json", facts)
    print(f"{file}: IoU with the teacher {iou:.3f} on {len(validation)} validation photos")


def list_photos(folder: Path) -> list[Path]:
    """Returns the photos in the subfolders of a folder.

    Raises:
        DataError: there are none.
    """
    paths = sorted(folder.glob("*/*.jpg"))
    if not paths:
        raise DataError(f"{folder} has no photos; expected {folder}/KIND/*.jpg")
    return paths


def compute_checksum(root: Path, paths: Sequence[Path]) -> str:
    """Returns the SHA-256 over the relative paths and contents of photos."""
    digest = hashlib.sha256()
    for path in paths:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{content}  {path.relative_to(root).as_posix()}\n".encode())
    return digest.hexdigest()


def draw_masks(examples: Examples, masks: fit.Masks, columns: int = 6) -> Image.Image:
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
