"""KSL5xx: the store and its folder."""

from __future__ import annotations

from ksl.errors.tree import AskPerson, FixRequest, TryAgain

__all__ = [
    "BadBackup",
    "ChangeRefused",
    "DamagedEvent",
    "FolderHeld",
    "SchemaTooNew",
    "StoreBusy",
    "StoreFailed",
    "StoreFull",
    "StoreUnopenable",
]


class StoreUnopenable(AskPerson):
    """The data folder or the database cannot be opened."""

    code = "KSL500"


class StoreFull(TryAgain):
    """The disk has no space. Nothing of the refused request was stored."""

    code = "KSL501"


class StoreFailed(AskPerson):
    """A write or a flush failed. The server stops: what the disk holds is no longer certain."""

    code = "KSL502"


class StoreBusy(TryAgain):
    """SQLite stayed locked longer than the busy timeout."""

    code = "KSL503"


class FolderHeld(TryAgain):
    """Another ksl process holds the data folder."""

    code = "KSL504"


class DamagedEvent(AskPerson):
    """An event's checksum does not match its content. Only its own run is held."""

    code = "KSL505"

    def __init__(self, message: str, *, run_id: str = "", seq: int = 0) -> None:
        super().__init__(message)
        self.run_id = run_id
        self.seq = seq  # 0: which event is not known


class SchemaTooNew(AskPerson):
    """The database was written by a newer ksl."""

    code = "KSL506"


class ChangeRefused(AskPerson):
    """The log did not take a change for what it holds, such as a `seq` that is taken. Others were stored."""

    code = "KSL507"


class BadBackup(FixRequest):
    """The file is not a backup that can be restored."""

    code = "KSL508"
