"""What an event's `crc` column covers: run, seq, type, step, moment, values and meta.

CRC-32, since it stands against worn disks and stray bytes, not against people. The formula is part of the
file format: changing it needs a migration.
"""

from __future__ import annotations

from zlib import crc32

from ksl.records import EVENT_TYPES

_type_crc: dict[str, int] = {name: crc32(name.encode()) for name in EVENT_TYPES}


def run_crc(run_id: str) -> int:
    """The part of the sum that all events of a run share; pass it to `event_crc`."""
    return crc32(run_id.encode())


def event_crc(
    run: int,
    seq: int,
    type: str,
    step: str | None,
    at_ms: int,
    data: bytes | None,
    input: bytes | None,
    meta: bytes | None,
) -> int:
    kind = _type_crc.get(type)
    if kind is None:
        kind = crc32(type.encode())
    # crc32 takes what it starts with modulo 2**32.
    crc = run + kind + seq * 0x9E3779B1 + at_ms * 0x85EBCA6B
    if step is not None:
        crc = crc32(step.encode(), crc)
    # The additions mark the borders, so that a byte which moved from one column to the next is noticed.
    if data is not None:
        crc = crc32(data, crc + 1)
    if input is not None:
        crc = crc32(input, crc + 2)
    if meta is not None:
        crc = crc32(meta, crc + 3)
    return crc & 0xFFFFFFFF
