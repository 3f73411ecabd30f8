"""Replies read within bounds: so many bytes, unpacked, and from no other address than the one that was asked."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import openai

MOST_BYTES = 10_000_000
# What can be unpacked piece by piece, and with which window bits of zlib; gzip is what is asked for.
_PACKED = {"gzip": 31, "x-gzip": 31, "deflate": 15}
ACCEPTED = "gzip"
_OF_THE_WIRE = frozenset({"content-encoding", "content-length", "transfer-encoding"})


class UnreadableBody(Exception):
    """The body of a reply that is too long, or packed in a way that cannot be undone."""


def bounded_client(timeout: float) -> openai.DefaultAsyncHttpxClient:
    """Return a client of the package openai whose replies hold at most ``MOST_BYTES``, and which follows no redirect.

    The package reads a whole body, also that of an error, and unpacks it before anybody can look at its length: 3 MB
    become 9 GB. Here a body is read and unpacked piece by piece and given up at the bound (UnreadableBody).
    """
    import openai  # noqa: PLC0415 - an optional package, and over a second to import

    class Bounded(openai.DefaultAsyncHttpxClient):
        async def send(self, request: Any, *, stream: bool = False, **further: Any) -> Any:
            further["follow_redirects"] = False
            reply = await super().send(request, stream=True, **further)
            try:
                body = await unpacked(reply.aiter_raw(), reply.headers.get("content-encoding", ""))
            finally:
                await reply.aclose()
            headers = [(name, value) for name, value in reply.headers.raw if name.decode().lower() not in _OF_THE_WIRE]
            return type(reply)(reply.status_code, headers=headers, content=body, request=request)

    return Bounded(timeout=timeout, headers={"Accept-Encoding": ACCEPTED})


async def unpacked(pieces: AsyncIterator[bytes], encoding: str) -> bytes:
    """Return a body, unpacked; raises UnreadableBody where it is longer than the bound, packed or unpacked."""
    packing = encoding.strip().lower()
    if packing not in ("", "identity", *_PACKED):
        raise UnreadableBody(f"a body packed as {packing[:40]!r}, and {ACCEPTED} was asked for")
    unpacking = zlib.decompressobj(_PACKED[packing]) if packing in _PACKED else None
    body, came = bytearray(), 0
    async for piece in pieces:
        came += len(piece)
        try:
            body += piece if unpacking is None else unpacking.decompress(piece, MOST_BYTES + 1 - len(body))
        except zlib.error as error:
            raise UnreadableBody(f"a body that is not packed as {packing}, as it says") from error
        if max(came, len(body)) > MOST_BYTES:
            raise UnreadableBody(f"a body of more than {MOST_BYTES:,} bytes")
    if unpacking is not None and came and not unpacking.eof:
        raise UnreadableBody(f"half a body packed as {packing}")
    return bytes(body)
