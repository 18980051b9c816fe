"""What one trial came to, in the words of the report."""

from __future__ import annotations

import msgspec


class Record(msgspec.Struct, kw_only=True):
    """Crosses from the process that made the trial to the one that counts, as a line of JSON."""

    family: str  # sweep, twice, random, programs, serve, pwrite64, fsync, ...
    plan: str  # enough to do it again
    kills: int = 0
    faults: int = 0  # failures of the disk that were injected
    exits: list[int] = []
    operations: dict[str, int] = {}
    acknowledged: int = 0  # yeses that were checked: starts, answers, cancellations, commits, ends
    lost: list[str] = []
    duplicates: list[str] = []
    divergences: list[str] = []
    stuck: list[str] = []  # what did not end once nothing was in its way
    problems: list[str] = []  # any other broken promise
    extra_in_sequence: list[int] = []  # for each kill of a run whose steps follow each other
    extra_in_parallel: list[int] = []  # for each kill of a run that had several steps under way
    unsound: int = 0  # integrity_check said no
    wal_bytes: int = 0  # the largest
    restart_s: float | None = None  # from the start of the last process to the end of all runs
    is_over: bool = False  # of a sweep: the point is beyond the end of the workload

    @property
    def violations(self) -> list[str]:
        named = [
            *(f"lost: {what}" for what in self.lost),
            *(f"recorded twice: {what}" for what in self.duplicates),
            *(f"diverged: {what}" for what in self.divergences),
            *(f"stuck: {what}" for what in self.stuck),
            *self.problems,
            *(["integrity_check failed"] if self.unsound else []),
        ]
        return [f"[{self.family}: {self.plan}] {what}" for what in named]
