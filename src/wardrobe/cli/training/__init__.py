"""`wardrobe train`, `evaluate` and `tune`."""
