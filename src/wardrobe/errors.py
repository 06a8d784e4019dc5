"""Every exception that Wardrobe raises on purpose.

The message is one line: what was given, what was expected, what to do. The command line prints it
and exits with `exit_status`. The server answers with `http_status`.
"""


class WardrobeError(Exception):
    """The job failed."""

    exit_status = 1
    http_status = 400


class UsageError(WardrobeError):
    """The call is wrong: an argument is unknown, out of range, or conflicts with another."""

    exit_status = 2


class DataError(WardrobeError):
    """The data was found, but it is not usable."""


class DataMissingError(DataError):
    """The data was not found and could not be downloaded."""


class RunError(WardrobeError):
    """A run folder is missing, in use, or not in the state that the job needs."""


class InterruptedRunError(WardrobeError):
    """Training was interrupted by Ctrl-C or SIGTERM; the run can be resumed.

    The command's exit status is that of `terminal.interrupts`.
    """


class SomeFailedError(WardrobeError):
    """Some inputs could not be used; the output says which, and why."""


class PhotoError(WardrobeError):
    """The file is not an image, or it is corrupted."""

    http_status = 422


class ModelError(WardrobeError):
    """The model file cannot be used, or an image does not fit it."""


class RequestError(WardrobeError):
    """The request to the server is not valid."""


class NotFoundError(RequestError):
    """The request names something that does not exist."""

    http_status = 404


class ForbiddenError(RequestError):
    """The server does not do this for anybody."""

    http_status = 403


class StorageError(RequestError):
    """The server's disk has too little space for it."""

    http_status = 507


class ConflictError(RequestError):
    """What the request needs is not in the state for it."""

    http_status = 409


class BusyError(WardrobeError):
    """A queue of the server is full; the client may retry."""

    http_status = 503


class BodyError(WardrobeError):
    """The body of a request is too large or too slow."""

    def __init__(self, http_status: int, message: str) -> None:
        super().__init__(message)
        self.http_status = http_status
