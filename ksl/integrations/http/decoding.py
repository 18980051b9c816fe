"""A body within its bound, whatever it claims: one kilobyte of gzip can hold a megabyte of nothing."""

from __future__ import annotations

import zlib

from ksl.define.duration import format_size
from ksl.integrations.http.errors import HttpRefused, HttpUnavailable

_GZIP = 16 + zlib.MAX_WBITS


class BoundedBody:
    """Takes a body as it comes from the network. Never holds more than `limit` bytes and one piece."""

    def __init__(self, encoding: str, *, limit: int) -> None:
        """Errors: HttpRefused for an encoding other than gzip, which is all that was asked for."""
        encoding = encoding.strip().lower()
        if encoding not in ("", "identity", "gzip", "x-gzip"):
            raise HttpRefused(f"the body is encoded as {encoding[:40]!r}, which was not asked for")
        self._inflater = zlib.decompressobj(_GZIP) if encoding.endswith("gzip") else None
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, piece: bytes) -> None:
        """Errors: HttpRefused when the body becomes too large, HttpUnavailable when it is no gzip."""
        if self._inflater is None:
            self._keep(piece)
            return
        try:
            while piece:
                if self._inflater.eof:  # gzip may hold several parts, one after the other
                    self._inflater = zlib.decompressobj(_GZIP)
                self._keep(self._inflater.decompress(piece, self._limit - self._size + 1))
                piece = self._inflater.unused_data
        except zlib.error as error:
            raise HttpUnavailable(f"the body says that it is gzip and is not: {error}") from None

    def whole(self) -> bytes:
        """Errors: HttpUnavailable when the end is missing."""
        if self._inflater is not None and self._size and not self._inflater.eof:
            raise HttpUnavailable("the body ends in the middle of its gzip")
        return b"".join(self._parts)

    def _keep(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._limit:
            self._parts.clear()
            raise HttpRefused(f"the body is larger than {format_size(self._limit)}")
        self._parts.append(piece)
