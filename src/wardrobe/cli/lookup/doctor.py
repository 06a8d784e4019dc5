"""`wardrobe doctor`."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wardrobe.cli import options
from wardrobe.cli.app import LOOKUP, app, describe_error, print_json

VARIABLES = "WARDROBE_DATA", "WARDROBE_PHOTOS", "KERAS_BACKEND", "KERAS_HOME"


@app.command(rich_help_panel=LOOKUP)
def doctor(as_json: options.Json = False) -> None:
    """Show what a bug report needs: versions, processor, backend, data, cache."""
    from wardrobe import __version__
    from wardrobe.data import clothing_photos
    from wardrobe.models import keras_settings
    from wardrobe.runs import provenance

    machine = provenance.describe_machine()
    about: dict[str, Any] = {
        "wardrobe": __version__,
        "commit": provenance.git_commit(),
        "system": machine["system"],
        "processor": machine["processor"],
        "cores": machine["usable_cores"],
        "memory_gib": machine.get("memory_gib"),
        "bfloat16": not provenance.BFLOAT16.isdisjoint(machine["vector_extensions"]),
        "versions": provenance.package_versions(),
        "backend": _try(keras_settings.find_backend),
        "fashion_mnist": _try(_find_data),
        "photos": _try(clothing_photos.find),
        "cache": _try(_measure_cache),
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
    }
    if as_json:
        return print_json(about)
    for name, value in about.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {each}" for key, each in value.items())
        label = name.replace("_gib", " (GiB)").replace("_", " ")
        print(f"{label:<15}{'none' if value in (None, '') else value}")


def _try(find: Callable[[], object]) -> str | None:
    """Returns what a function finds, or else the message of its exception."""
    try:
        found = find()
    except Exception as error:  # the others are shown all the same
        return describe_error(error)[0]
    return None if found is None else str(found)


def _find_data() -> str | None:
    from wardrobe.data.fashion_mnist import files

    copies, unusable, _ = files.find_here()
    folders = sorted({str(copy.path.parent) for copy in copies.values()})
    return ", ".join(folders) if len(copies) == len(files.FILES) else "; ".join(unusable) or None


def _measure_cache() -> str:
    import platformdirs

    cache = Path(platformdirs.user_cache_path("wardrobe"))
    size = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())  # bytes
    return f"{cache}, {size / 1e6:.0f} MB"
