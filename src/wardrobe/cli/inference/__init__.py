"""`wardrobe predict`, `explain`, `serve` and `export`."""
