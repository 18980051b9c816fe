"""Running git as a child process: nothing is asked of the user, nothing is left running."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable

from ksl import FatalError

CHUNK = 1 << 16
# A user's own settings that would change what git prints.
SETTINGS = ("-c", "log.showSignature=false", "-c", "log.showRoot=true", "-c", "core.fsmonitor=false")

# What of git's environment is a person's wish rather than the place of some other repository.
OURS = ("GIT_CONFIG_", "GIT_CEILING_DIRECTORIES")


class GitFailed(Exception):
    """git ended with a failure. `said` is what it wrote on stderr."""

    def __init__(self, arguments: tuple[str, ...], status: int, said: str) -> None:
        super().__init__(f"git {arguments[0]} ended with status {status}: {said or 'it said nothing'}")
        self.status = status
        self.said = said


async def git_text(root: str, *arguments: str) -> str:
    """What the command printed, without the newline at its end."""
    records: list[bytes] = []
    await git_records(root, *arguments, take=records.append)
    return readable(b"\0".join(records)).rstrip("\n")


async def git_records(root: str, *arguments: str, take: Callable[[bytes], None]) -> None:
    """Calls `take` with each NUL-ended record, while git still prints: a long history is never held whole.

    Errors: GitFailed with what git said; FatalError where there is no git. When the caller is cancelled
    (a timeout, a cancelled run) git is killed first.
    """
    with tempfile.TemporaryFile() as complaints:
        try:
            process = await asyncio.create_subprocess_exec(
                *("git", "-C", root, "--no-pager", *SETTINGS, *arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=complaints,
                env=_environment(),
            )
        except FileNotFoundError:
            raise FatalError("git was not found on this machine's PATH. Install git and run again.") from None
        try:
            assert process.stdout is not None
            rest = b""
            while chunk := await process.stdout.read(CHUNK):
                *whole, rest = (rest + chunk).split(b"\0")
                for record in whole:
                    take(record)
            if rest:
                take(rest)
            status = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if status != 0:
            complaints.seek(0)
            raise GitFailed(arguments, status, readable(complaints.read(4000)).strip())


def readable(name: bytes) -> str:
    """File names and people's names may be any bytes; what is not UTF-8 is shown as \\xNN."""
    return name.decode("utf-8", errors="backslashreplace")


def _environment() -> dict[str, str]:
    # Inside a git hook GIT_DIR and its kin point at the repository being committed to, not at ours.
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith("GIT_") or key.startswith(OURS)
    }
    return kept | {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}
