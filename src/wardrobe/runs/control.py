"""control.json: what a running training is asked to do. The server writes it, training obeys it.

It is the wanted state, not a command: training compares it with its own state. Without the file,
training runs as its recipe says.
"""

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import Any

from wardrobe.errors import RunError, UsageError
from wardrobe.runs.files import write_json
from wardrobe.runs.run import Run


@dataclass(frozen=True)
class Control:
    """The wanted state of a training.

    Attributes:
        paused: wait, until this is False.
        stop: end as after Ctrl-C; the run can be resumed.
        learning_rate: from now on, above 0; with a schedule, its peak. None: unchanged.
    """

    paused: bool = False
    stop: bool = False
    learning_rate: float | None = None


def read_control(run: Run) -> Control:
    """Returns control.json; without the file, the defaults.

    Raises:
        RunError: the file is damaged.
    """
    try:
        fields = json.loads(run.control_path.read_text(encoding="utf-8"))
        return _check(Control(**fields))
    except FileNotFoundError:
        return Control()
    except (ValueError, TypeError, UsageError) as error:
        raise RunError(f"{run.control_path} cannot be used ({error}); remove it") from None


def write_control(run: Run, **changes: Any) -> Control:
    """Changes fields of control.json, keeps the others, and returns all of them.

    Raises:
        UsageError: a value has the wrong type or is out of range.
        RunError: the run is trained by several processes, which cannot be controlled.
    """
    count = run.info().get("processes", 1)
    if count > 1:
        problem = f"{run.path} is trained by {count} processes"
        raise RunError(f"{problem}, which read no control.json; stop process 0 with Ctrl-C")
    control = _check(dataclasses.replace(read_control(run), **changes))
    write_json(run.control_path, dataclasses.asdict(control))
    return control


def _check(control: Control) -> Control:
    for name in ("paused", "stop"):
        value = getattr(control, name)
        if not isinstance(value, bool):
            raise UsageError(f"{name} is {value!r}; give true or false")
    rate = control.learning_rate
    is_number = isinstance(rate, int | float) and not isinstance(rate, bool)
    if rate is not None and not (is_number and 0 < rate < math.inf):
        raise UsageError(f"learning_rate is {rate!r}; give a number above 0")
    return control
