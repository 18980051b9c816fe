"""The data folder: who may read it, where it lies, how much space there is, what the clock says."""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ksl.cli.checks import Finding
from ksl.define.duration import format_size

SPACE_FAIL = 64 << 20
SPACE_WARN = 1 << 30
SECRETS = ("token", "key")  # files with one of these in their name let whoever reads them act
NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p", "afs", "ceph", "glusterfs"})
EARLIEST_S = 1_735_689_600  # 2025-01-01, before ksl was
CLOCK_SLACK_S = 5.0  # clocks are set by so much in the ordinary course of things


def folder_findings(folder: Path, *, now_s: float | None = None) -> Iterator[Finding]:
    if folder.exists() and not folder.is_dir():
        yield Finding(
            "folder",
            "fail",
            f"{folder} is not a folder",
            "Move it away, or set another store.path in ksl.toml.",
        )
    elif not folder.is_dir():
        yield Finding("folder", "ok", f"{folder} is not there yet; the first run makes it")
    else:
        yield from modes(folder)
        yield from _writable(folder)
    there = next(place for place in (folder, *folder.parents) if place.is_dir())
    yield from _file_system(there)
    yield _space(there)
    yield _clock(folder, time.time() if now_s is None else now_s)


def modes(folder: Path) -> Iterator[Finding]:
    """0700 for the folder, 0600 for its files."""
    clean = True
    for path in (folder, *sorted(folder.iterdir())):
        try:
            info = path.lstat()
        except FileNotFoundError:
            continue  # SQLite's side files come and go
        others = stat.S_IMODE(info.st_mode) & 0o077
        wanted = "700" if stat.S_ISDIR(info.st_mode) else "600"
        if info.st_uid != os.geteuid() and os.geteuid() != 0:
            clean = False
            yield Finding(
                "modes", "warn", f"{path} belongs to user {info.st_uid}", f"chown it to {os.geteuid()}."
            )
        elif others and not stat.S_ISLNK(info.st_mode):
            clean = False
            secret = any(word in path.name for word in SECRETS)
            yield Finding(
                "modes",
                "fail" if secret else "warn",
                f"{path} is open to other users (mode {stat.S_IMODE(info.st_mode):o})",
                f"chmod {wanted} {path}"
                + (", and make a new one: others may have read it." if secret else ""),
            )
    if clean:
        yield Finding("modes", "ok", f"{folder} is closed to other users")


def _writable(folder: Path) -> Iterator[Finding]:
    if not os.access(folder, os.W_OK | os.X_OK):
        yield Finding("folder", "fail", f"{folder} cannot be written to", "Make it writable.")


def _file_system(folder: Path) -> Iterator[Finding]:
    kind = _mounted_as(folder.resolve())
    if kind in NETWORK:
        yield Finding(
            "file system",
            "warn",
            f"{folder} lies on {kind}",
            "Move store.path to a local disk: ksl promises nothing on network file systems.",
        )


def _mounted_as(folder: Path) -> str:
    """The type of the file system that the folder lies on; empty where that cannot be told."""
    try:
        lines = Path("/proc/self/mounts").read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return ""
    mounts = {Path(_unescaped(line.split()[1])): line.split()[2] for line in lines}
    return next((mounts[place] for place in (folder, *folder.parents) if place in mounts), "")


def _unescaped(text: str) -> str:
    for octal, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(octal, char)
    return text


def _space(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    found = f"{format_size(free)} free"
    if free < SPACE_FAIL:
        return Finding("disk", "fail", found, "Free some space: with none left ksl refuses new work.")
    if free < SPACE_WARN:
        return Finding("disk", "warn", found, "Free some space, or shorten retention.finished_runs.")
    return Finding("disk", "ok", found)


def _clock(folder: Path, now_s: float) -> Finding:
    if now_s < EARLIEST_S:
        return Finding("clock", "fail", f"it is set to {_day(now_s)}", "Set it; timers go by it.")
    behind_s = clock_behind_s(folder, now_s=now_s)
    if behind_s > CLOCK_SLACK_S:
        return Finding(
            "clock",
            "warn",
            f"it says {_day(now_s)}, and the database was written {behind_s:.0f} s after that",
            "The clock was set back, or is wrong now: let the machine keep it by NTP.",
        )
    return Finding("clock", "ok", _day(now_s))


def clock_behind_s(folder: Path, *, now_s: float) -> float:
    """How long after what the clock says the database was written to; 0 where it was not."""
    newest_s = now_s
    for path in folder.glob("*.db*"):
        with suppress(FileNotFoundError):  # a WAL goes when its writer does
            newest_s = max(newest_s, path.stat().st_mtime)
    return newest_s - now_s


def _day(moment_s: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment_s))
