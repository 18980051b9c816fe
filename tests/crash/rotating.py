"""Changes the key of a store of credentials, and dies at the n-th thing it does outside its memory.

python -m tests.crash.rotating FOLDER project|organization POINT
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import cryptography.hazmat.primitives.ciphers.aead  # noqa: F401  # pyright: ignore[reportUnusedImport]  # else it would be counted

from ksl.log.organization import OrganizationFile
from ksl.log.sqlite import SqliteStore
from ksl.vault.keys import KeyPlace
from ksl.vault.shelf import Shelf

DIED = 9
_WRITES = {"open", "write", "fsync", "replace", "execute"}


def organization(folder: Path) -> Shelf:
    file = OrganizationFile(folder / "credentials.db")
    return Shelf(file, KeyPlace(folder / "key", None), what="the organization", shared=True)


async def project(folder: Path) -> tuple[Shelf, SqliteStore]:
    store = await SqliteStore.open(folder / "ksl.db", durability="process")
    return Shelf(store.credentials, KeyPlace(folder / "key", None), what="project", shared=False), store


class Death:
    """Comes at the n-th call, in whichever thread."""

    def __init__(self, point: int) -> None:
        self._left = point
        self._armed = False

    def arm(self) -> None:
        self._armed = True
        sys.setprofile(self.watch)

    def watch(self, _frame: FrameType, event: str, what: Any) -> None:
        if not self._armed or event != "c_call" or isinstance(getattr(what, "__self__", None), str):
            return  # a method of a text only has the name of a file's
        if getattr(what, "__name__", "") in _WRITES:
            self._left -= 1
            if self._left == 0:
                os._exit(DIED)


async def main(folder: Path, kind: str, death: Death) -> None:
    shelf = organization(folder) if kind == "organization" else (await project(folder))[0]
    death.arm()
    await shelf.rotate()
    os._exit(0)


if __name__ == "__main__":
    coming = Death(int(sys.argv[3]))
    threading.setprofile(coming.watch)
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], coming))
