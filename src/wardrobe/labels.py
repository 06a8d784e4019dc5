"""The ten classes of Fashion-MNIST, by label 0-9 (arXiv 1708.07747, table 2)."""

CLASS_NAMES: tuple[str, ...] = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
