"""Image files from the body of a request. They stay in memory; nothing is written to disk."""

import asyncio
from collections.abc import AsyncGenerator

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from wardrobe.errors import RequestError

MAX_FILES = 64  # per request
CHUNK = 64_000  # bytes of a form that are parsed at a time
FORM = "multipart/form-data"


class _MemoryParser(MultiPartParser):
    """Keeps all parts in memory; Starlette's parser writes parts above 1 MB to disk."""

    spool_max_size = 1 << 40  # bytes; the limit on the body applies long before


async def read_images(request: Request) -> list[tuple[str, bytes]]:
    """Returns the name and the bytes of each image in a request.

    The body is a form with files in fields of any name, or one image, whose name is then "-".

    Raises:
        RequestError: there is no image, there are too many, or the form is malformed.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await request.body()
    if media_type != FORM:
        if not body:
            raise RequestError(f"the body is empty; send one image, or a form ({FORM}) of images")
        return [("-", body)]

    async def stream() -> AsyncGenerator[bytes, None]:
        # Read before, within the limits of RequestMiddleware. The parser is slow on some bodies, so
        # other requests are answered between two chunks.
        for start in range(0, len(body), CHUNK):
            yield body[start : start + CHUNK]
            await asyncio.sleep(0)

    parser = _MemoryParser(request.headers, stream(), max_files=MAX_FILES, max_fields=MAX_FILES)
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:
        raise RequestError(
            f"the form is malformed ({error}); send {FORM} with at most {MAX_FILES} images"
        ) from error
    try:
        files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        images = [(file.filename or "-", await file.read()) for file in files]
    finally:
        await form.close()
    if not images:
        raise RequestError("the form has no file; send each image as a file in its own field")
    return images
