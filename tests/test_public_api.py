"""The public names of `wardrobe` stay functions and classes when its packages are imported."""

import importlib
import pkgutil

import wardrobe


def test_no_package_hides_a_public_name() -> None:
    for module in pkgutil.iter_modules(wardrobe.__path__):
        importlib.import_module(f"wardrobe.{module.name}")
    names = set(wardrobe.__all__) - {"__version__", "photo"}
    assert {name for name in names if not callable(getattr(wardrobe, name))} == set()
