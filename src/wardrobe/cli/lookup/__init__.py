"""`wardrobe runs`, `report`, `data`, `recipes` and `doctor`."""
