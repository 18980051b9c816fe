"""A folder that no path leaves.

A path is walked one name at a time, from the folder's own descriptor, and no link is followed on the way: there is no
moment between a check and its use in which a link could be put. What a name stands for is looked at before it is
opened, so that a device or a pipe is never opened at all.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import msgspec

from ksl.agent.tool_set import ToolError

DEPTH_MAX = 32
ENTRIES_MAX = 20_000  # files and folders of a set
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LOOK = os.O_NOFOLLOW | os.O_CLOEXEC | getattr(os, "O_PATH", 0)


class Entry(msgspec.Struct, frozen=True):
    path: str  # relative to the folder
    name: str  # the last part of it
    is_folder: bool
    size: int  # bytes; 0 for a folder
    is_file: bool  # a regular one, with this name only


class Usage(msgspec.Struct, frozen=True):
    size: int  # bytes
    entries: int
    is_too_much: bool  # to be counted at all: too deep, or too many


_locks: dict[Path, Lock] = {}


class Folder:
    """`scratch` lies on the same file system, outside of `root`, which is made when it is first used. Without it the
    folder is to be read only."""

    def __init__(
        self, root: Path, *, file_bytes_max: int, set_bytes_max: int = 0, scratch: Path | None = None
    ) -> None:
        self.root = root
        self.file_bytes_max = file_bytes_max
        self.set_bytes_max = set_bytes_max
        self._scratch = scratch
        self._lock = _locks.setdefault(root, Lock())  # writes: the quota is counted, then used

    def read(self, path: str) -> bytes:
        """Errors: ToolError."""
        with _telling(path), self._parent(path) as (folder, name), _looked(folder, name) as (found, state):
            _require_file(state, path)
            if state.st_size > self.file_bytes_max:
                raise ToolError(
                    f"{path} has {state.st_size:,} bytes; at most {self.file_bytes_max:,} can be read"
                )
            # The same file, whatever its name stands for by now.
            with open(f"/proc/self/fd/{found}", "rb") as file:  # noqa: PTH123
                data = file.read(self.file_bytes_max + 1)
        if len(data) > self.file_bytes_max:
            raise ToolError(f"{path} grew over {self.file_bytes_max:,} bytes while it was read")
        return data

    def write(self, path: str, data: bytes, *, mark: str) -> None:
        """Puts a whole file in place of what was there, at one stroke; folders on the way are made.

        `mark` tells this write from others, and is equal for another attempt at it. Errors: ToolError.
        """
        if len(data) > self.file_bytes_max:
            raise ToolError(f"{path} would have {len(data):,} bytes; a file may have {self.file_bytes_max:,}")
        assert self._scratch is not None
        with self._lock, _telling(path), self._parent(path, make=True) as (folder, name):
            replaced = 0
            with contextlib.suppress(FileNotFoundError), _looked(folder, name) as (_, state):
                _require_file(state, path)
                replaced = state.st_size
            self._require_room(path, len(data) - replaced)
            self._scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
            new = self._scratch / hashlib.sha256(mark.encode()).hexdigest()
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            try:
                with open(os.open(new, flags, 0o600), "wb") as file:  # noqa: PTH123
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                # Replaces the name itself: should a link stand there by now, it goes, and what it points at stays.
                os.rename(new, name, dst_dir_fd=folder)
                os.fsync(folder)
            except OSError:
                new.unlink(missing_ok=True)
                raise

    def delete(self, path: str) -> bool:
        """Removes a file, or a folder with nothing in it. False where nothing was. Errors: ToolError."""
        with _telling(path), self._parent(path) as (folder, name):
            try:
                if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                    os.rmdir(name, dir_fd=folder)
                else:
                    os.unlink(name, dir_fd=folder)  # a link goes, not what it points at
            except FileNotFoundError:
                return False
        return True

    def entries(self, path: str = ".") -> list[Entry]:
        """What lies in one folder, by name, at most ENTRIES_MAX. Errors: ToolError."""
        with _telling(path):
            return self._entries(_parts(path, or_root=True))

    def walk(self, path: str = ".") -> Iterator[Entry]:
        """All below a folder, by name, links not followed. Errors: ToolError where it is too deep."""
        top = _parts(path, or_root=True)
        waiting = [top]
        while waiting:
            here = waiting.pop()
            if len(here) > DEPTH_MAX:
                raise ToolError(f"{path} has folders more than {DEPTH_MAX} deep")
            try:
                found = self._entries(here)
            except (FileNotFoundError, NotADirectoryError) as error:
                if here is top:
                    raise _told(error, path) from None
                continue  # gone since its name was read
            except OSError as error:
                raise _told(error, "/".join(here)) from None
            yield from found
            waiting += [[*here, each.name] for each in reversed(found) if each.is_folder]

    def usage(self) -> Usage:
        size = entries = 0
        try:
            for each in self.walk():
                size += each.size
                entries += 1
                if entries > ENTRIES_MAX:
                    return Usage(size, entries, True)
        except ToolError:
            return Usage(size, entries, True)
        return Usage(size, entries, False)

    @contextmanager
    def opened(self) -> Generator[int]:
        """A descriptor of the folder itself. Errors: ToolError."""
        if self._scratch is not None:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            descriptor = os.open(self.root, _FOLDER)
        except OSError as error:
            raise ToolError(f"the workspace cannot be used: {error.strerror}") from None
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _require_room(self, path: str, more: int) -> None:
        used = self.usage()
        if used.is_too_much or used.entries >= ENTRIES_MAX:
            raise ToolError(
                f"{path} was not written: the workspace holds too many files, or too deep ones. It may hold "
                f"{ENTRIES_MAX:,}, in folders {DEPTH_MAX} deep. Delete some first"
            )
        if used.size + more > self.set_bytes_max:
            raise ToolError(
                f"{path} was not written: the workspace holds {used.size:,} bytes, and may hold "
                f"{self.set_bytes_max:,}. Delete something first"
            )

    def _entries(self, parts: list[str]) -> list[Entry]:
        with self._walked(parts) as folder:
            return _entries(folder, "".join(f"{part}/" for part in parts))

    @contextmanager
    def _parent(self, path: str, *, make: bool = False) -> Generator[tuple[int, str]]:
        """The folder of a path, opened, and its last name."""
        parts = _parts(path)
        with self._walked(parts[:-1], make=make) as folder:
            yield folder, parts[-1]

    @contextmanager
    def _walked(self, parts: list[str], *, make: bool = False) -> Generator[int]:
        with contextlib.ExitStack() as stack:
            here = stack.enter_context(self.opened())
            for part in parts:
                if make:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(part, 0o700, dir_fd=here)
                here = os.open(part, _FOLDER, dir_fd=here)
                stack.callback(os.close, here)
            yield here


def _parts(path: str, *, or_root: bool = False) -> list[str]:
    if path.startswith("/"):
        raise ToolError(f"{path} is an absolute path. Paths are relative to the workspace")
    if "\0" in path:
        raise ToolError("a path has no null characters")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ToolError(f"{path} has '..' in it. Paths stay in the workspace; name the file from its top")
    if not parts and not or_root:
        raise ToolError(f"{path!r} names no file")
    if len(parts) > DEPTH_MAX:
        raise ToolError(f"the path is {len(parts)} names deep; {DEPTH_MAX} are allowed")
    return parts


@contextmanager
def _looked(folder: int, name: str) -> Generator[tuple[int, os.stat_result]]:
    """What a name stands for, without opening it."""
    found = os.open(name, _LOOK, dir_fd=folder)
    try:
        yield found, os.fstat(found)
    finally:
        os.close(found)


@contextmanager
def _telling(path: str) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise _told(error, path) from None
    except UnicodeEncodeError:
        raise ToolError("the path is not valid text") from None


def _require_file(state: os.stat_result, path: str) -> None:
    if stat.S_ISDIR(state.st_mode):
        raise ToolError(f"{path} is a folder")
    if stat.S_ISLNK(state.st_mode):
        raise ToolError(f"{path} is a link, and links are not followed")
    if not stat.S_ISREG(state.st_mode):
        raise ToolError(f"{path} is not a file but a device, a pipe or a socket")
    if state.st_nlink > 1:
        raise ToolError(
            f"{path} has more than one name (a hard link), and might lie outside of the workspace too"
        )


def _entries(folder: int, prefix: str) -> list[Entry]:
    found: list[Entry] = []
    with os.scandir(folder) as scan:
        for each in scan:
            try:
                state = each.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            is_file = stat.S_ISREG(state.st_mode)
            size = state.st_size if is_file else 0
            is_folder = stat.S_ISDIR(state.st_mode)
            found.append(
                Entry(prefix + each.name, each.name, is_folder, size, is_file and state.st_nlink == 1)
            )
            if len(found) > ENTRIES_MAX:
                break
    return sorted(found, key=lambda entry: entry.path)


def _told(error: OSError, path: str) -> ToolError:
    match error.errno:
        case errno.ENOENT:
            return ToolError(f"there is no {path}")
        case errno.ELOOP:
            return ToolError(f"{path} leads over a link, and links are not followed")
        case errno.ENOTDIR:
            return ToolError(
                f"{path} leads over something that is no folder, or a link; links are not followed"
            )
        case _:
            return ToolError(f"{path}: {error.strerror}")
