"""The three streams of a command: what to do where one is closed, full, or not read to its end."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import click

T = TypeVar("T")


def open_what_is_closed() -> None:
    """Gives a stream that was closed (`>&-`) to nobody, so that no file opened later gets its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 - for as long as the process


def leave_stdout() -> None:
    """Nothing more is written to it, and Python does not try to at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def stdout_mishap(error: OSError) -> str | None:
    """What to say of an error that came of printing, such as a full disk below a file; None of another."""
    raised = traceback.extract_tb(error.__traceback__)[-1]
    if (raised.filename, raised.name) != (click.echo.__code__.co_filename, click.echo.__name__):
        return None
    return (
        f"Stdout could not be written: {error.strerror or error}. Only what was to be printed is lost; "
        "what the command has stored stays stored."
    )


@asynccontextmanager
async def read_to_where_it_is_left(items: AsyncIterator[T]) -> AsyncGenerator[AsyncIterator[T]]:
    """Ends an async generator where its reader leaves it, before the loop does so in no order."""
    try:
        yield items
    finally:
        if isinstance(items, AsyncGenerator):
            await items.aclose()
