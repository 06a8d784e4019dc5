"""Accuracy of recipes and models.

- `train`: recipes over several seeds, on the test split.
- `ablation`: a recipe without each of its techniques, on the validation split.
- `corruptions`: models on corrupted test images.
- `photos`: a model on photos of clothing; `photo_seeds`: its recipe over several seeds.
"""
