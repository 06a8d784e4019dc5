"""Run folders.

- `run`: a run folder: create, find, list and read it.
- `files`: files that are replaced in one step.
- `locks`: one process at a time in a folder.
- `provenance`: package versions, machine and commit that a result depends on.
"""

from wardrobe.runs.files import atomic_write, write_json
from wardrobe.runs.locks import exclusive_lock
from wardrobe.runs.provenance import describe_provenance, list_differences, package_versions
from wardrobe.runs.run import (
    DONE,
    INTERRUPTED,
    LATEST,
    ROOT,
    RUNNING,
    Row,
    Run,
    check_new_folder,
    create_run,
    find_run,
    list_runs,
    tabulate_runs,
)

__all__ = [
    "DONE",
    "INTERRUPTED",
    "LATEST",
    "ROOT",
    "RUNNING",
    "Row",
    "Run",
    "atomic_write",
    "check_new_folder",
    "create_run",
    "describe_provenance",
    "exclusive_lock",
    "find_run",
    "list_differences",
    "list_runs",
    "package_versions",
    "tabulate_runs",
    "write_json",
]
