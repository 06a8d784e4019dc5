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
    """
    codings = ",".join(headers.getlist("content-encoding")).lower().split(",")
    coding = ", ".join(each.strip() for each in codings if each.strip() not in ("", "identity"))
    if coding in WBITS:
        return _DecompressingReceive(receive, coding, limit)

    async def refuse() -> Message:
        reason = f"the Content-Encoding is {coding[:40]!r}; expected gzip or deflate"
        raise BodyError(415, reason)

    return refuse if coding else receive


class _DecompressingReceive:
    def __init__(self, receive: Receive, coding: str, limit: int) -> None:
        self._receive, self._coding, self._limit = receive, coding, limit
        self._decompressor = zlib.decompressobj(WBITS[coding])
        self._bytes_in = self._bytes_out = 0

    async def __call__(self) -> Message:
        """Receives the next message.

        Raises:
            BodyError: the data is corrupted, or the body is too large.
        """
        message = await self._receive()
        if message["type"] != "http.request":
            return message  # the client disconnected
        body = self._decompress(message.get("body", b""), not message.get("more_body", False))
        return {**message, "body": body}

    def _decompress(self, content: bytes, is_last: bool) -> bytes:
        self._bytes_in += len(content)
        if self._bytes_in > self._limit:  # a header of gzip may be endless
            raise BodyError(413, f"the body is too large; expected at most {self._limit:,} bytes")
        decompressor, most = self._decompressor, self._limit + 1 - self._bytes_out
        try:
            body = decompressor.decompress(content, most)
        except zlib.error as error:
            raise BodyError(400, f"the body is not {self._coding} data ({error})") from error
        self._bytes_out += len(body)
        is_too_large = self._bytes_out > self._limit  # refused by the caller
        if decompressor.unused_data or (is_last and not decompressor.eof and not is_too_large):
            problem = "continues after its end" if decompressor.unused_data else "breaks off"
            raise BodyError(400, f"the body's {self._coding} data {problem}; send it again")
        return body
