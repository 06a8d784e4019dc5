"""A run's network at each of its epochs: what it has learnt, sees and predicts.

- `handlers`: what each path answers
- `networks`: run and epoch → answer, with caches
- `validation`: the run's validation images, their predictions and their map
- `units`: the arithmetic of one unit, of served models too
- `film`: the first layer's filters over the epochs, animated
- `cache`: a bounded cache of what is computed from files
"""

from wardrobe.serving.learn.epochs.handlers import Epochs

__all__ = ["Epochs"]
