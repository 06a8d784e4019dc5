"""Compressed request bodies, decompressed while they arrive. Source: RFC 9110, section 8.4.1."""

import zlib

from starlette.datastructures import Headers
from starlette.types import Message, Receive

from wardrobe.errors import BodyError

# Content coding → wbits of zlib. "deflate" is zlib's format; raw deflate data has no name in HTTP.
WBITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
ACCEPT_ENCODING = {"accept-encoding": "gzip, deflate"}  # header of a response with status 415


def decompress(receive: Receive, headers: Headers, limit: int) -> Receive:
    """Returns `receive` for a body that is not compressed, otherwise one that decompresses it.

    Args:
        limit: most bytes of a body, compressed and decompressed. No more than one byte beyond it is
            decompressed, so a small body cannot fill the memory.

    The result raises BodyError if the data is corrupted or too large, or its coding is unknown.
    """
    codings = ",".join(headers.getlist("content-encoding")).lower().split(",")
    coding = ", ".join(each.strip() for each in codings if each.strip() not in ("", "identity"))
    if not coding:
        return receive
    decompressor = zlib.decompressobj(WBITS[coding]) if coding in WBITS else None
    bytes_in = bytes_out = 0

    async def receive_plain() -> Message:
        nonlocal bytes_in, bytes_out
        if decompressor is None:
            reason = f"the Content-Encoding is {coding[:40]!r}; expected gzip or deflate"
            raise BodyError(415, reason)
        message = await receive()
        if message["type"] != "http.request":
            return message  # the client disconnected
        content, is_last = message.get("body", b""), not message.get("more_body", False)
        bytes_in += len(content)
        if bytes_in > limit:  # a header of gzip may be endless
            raise BodyError(413, f"the body is too large; expected at most {limit:,} bytes")
        try:
            body = decompressor.decompress(content, limit + 1 - bytes_out)
        except zlib.error as error:
            raise BodyError(400, f"the body is not {coding} data ({error})") from error
        bytes_out += len(body)
        is_too_large = bytes_out > limit  # refused by the caller
        if decompressor.unused_data or (is_last and not decompressor.eof and not is_too_large):
            problem = "continues after its end" if decompressor.unused_data else "breaks off"
            raise BodyError(400, f"the body's {coding} data {problem}; send it again")
        return {**message, "body": body}

    return receive_plain
