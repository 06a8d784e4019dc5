"""Run folders.

- `run`: a run folder: find, list, read and change it.
- `create`: makes a run folder.
- `table`: the table of runs.
- `files`: files that are replaced in one step, and whether they can be written.
- `locks`: one process at a time in a folder.
- `steps`: steps.csv, loss and accuracy while an epoch runs.
- `control`: control.json, which pauses, stops or changes a running training.
- `provenance`: package versions, machine and commit that a result depends on.
"""

from wardrobe.runs.control import Control, read_control, write_control
from wardrobe.runs.create import (
    IMAGES,
    JOB,
    LOG,
    check_new_folder,
    create_run,
    make_numbered_folder,
)
from wardrobe.runs.files import atomic_write, check_writable, write_json
from wardrobe.runs.locks import exclusive_lock
from wardrobe.runs.provenance import describe_provenance, list_differences, package_versions
from wardrobe.runs.run import (
    DONE,
    INTERRUPTED,
    LATEST,
    PAUSED,
    ROOT,
    RUNNING,
    Row,
    Run,
    count_epochs,
    find_run,
    find_run_of,
    format_recipe,
    list_runs,
)
from wardrobe.runs.steps import StepRow, StepsReader, StepsWriter
from wardrobe.runs.table import tabulate_runs

__all__ = [
    "DONE",
    "IMAGES",
    "INTERRUPTED",
    "JOB",
    "LATEST",
    "LOG",
    "PAUSED",
    "ROOT",
    "RUNNING",
    "Control",
    "Row",
    "Run",
    "StepRow",
    "StepsReader",
    "StepsWriter",
    "atomic_write",
    "check_new_folder",
    "check_writable",
    "count_epochs",
    "create_run",
    "describe_provenance",
    "exclusive_lock",
    "find_run",
    "find_run_of",
    "format_recipe",
    "list_differences",
    "list_runs",
    "make_numbered_folder",
    "package_versions",
    "read_control",
    "tabulate_runs",
    "write_control",
    "write_json",
]
