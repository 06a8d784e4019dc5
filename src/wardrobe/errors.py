"""Every exception that Wardrobe raises on purpose.

A message is one line that says what was given, what was expected and what to do next. The command line prints it and
exits with `exit_status`.
"""


class WardrobeError(Exception):
    """The job could not be done."""

    exit_status = 1


class UsageError(WardrobeError):
    """The call itself is wrong: an argument is out of range, unknown, or clashes with another."""

    exit_status = 2


class DataError(WardrobeError):
    """The data was found and is not usable."""


class DataMissingError(DataError):
    """The data was found nowhere and could not be downloaded."""


class RunError(WardrobeError):
    """A run folder is missing, taken, or not in the state that the job needs."""


class InterruptedRunError(WardrobeError):
    """Training was stopped by Ctrl-C or SIGTERM; the run can be resumed."""

    exit_status = 130  # 128 + SIGINT, as shells and Typer have it


class PhotoError(WardrobeError):
    """A picture that cannot be read, or is none."""


class ModelError(WardrobeError):
    """A model file that cannot be used, or an image that does not fit it."""
