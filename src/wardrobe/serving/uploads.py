"""Pictures out of a request's body. Nothing of it reaches the disk."""

from collections.abc import AsyncGenerator

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from wardrobe.serving.protocols import RequestError

MOST = 64  # pictures of a request
FORM = "multipart/form-data"


class _InMemory(MultiPartParser):
    """Keeps parts in memory, where Starlette writes those above a megabyte to disk; the body's limit bounds them."""

    spool_max_size = 1 << 40


async def read_images(request: Request) -> list[tuple[str, bytes]]:
    """Returns the pictures of a form, whatever their fields are called, or the one that the body is: name and bytes.

    Raises:
        RequestError: there is none, or too many, or the form is damaged.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await request.body()
    if kind != FORM:
        if not body:
            raise RequestError(
                f"the body is empty; send a picture, or a form ({FORM}) with one or more"
            )
        return [("-", body)]

    async def once() -> AsyncGenerator[bytes, None]:
        yield body

    try:
        form = await _InMemory(request.headers, once(), max_files=MOST, max_fields=MOST).parse()
    except (MultiPartException, KeyError, ValueError) as error:
        raise RequestError(
            f"the form is damaged ({error}); send {FORM}, at most {MOST} pictures"
        ) from error
    try:
        found = [
            (each.filename or "-", await each.read())
            for _, each in form.multi_items()
            if isinstance(each, UploadFile)
        ]
    finally:
        await form.close()
    if not found:
        raise RequestError("the form has no file; send a picture in a field of its own")
    return found
