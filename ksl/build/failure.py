"""Why a module of a project did not load, told in the project's own lines."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ksl.build.loader import NotLoaded, is_project_file
from ksl.errors import ImportFailed, KslError


@dataclass(frozen=True, slots=True)
class ImportFailure:
    """`file` and `line` are the innermost line of the project; `traceback` has the project's frames only. It is
    empty for a module that only imports one which did not load, and of an error of ksl's own, whose message is
    all there is to say, it is the lines alone."""

    module: str  # the one that discovery was importing; `file` may be another, which it imports
    file: str  # relative to the project folder, where it lies below it
    line: int
    error: str  # "ZeroDivisionError: division by zero", or the message of an error of ksl's own
    traceback: str
    code: str  # the error's own KSL code, or ImportFailed's

    def __str__(self) -> str:
        code = "" if self.code == ImportFailed.code else f"{self.code} "
        return f"{self.file}:{self.line} {code}{self.error}"


def import_failure(error: BaseException, *, module: str, file: Path, root: Path) -> ImportFailure:
    """`file` is where `module` lies; it is named when the error has no frame in the project."""
    told = traceback.TracebackException.from_exception(error)
    _trim(told, root)
    place = (str(file), 1)
    # What follows from another failure is told by the import that led there alone.
    follows = isinstance(error, NotLoaded)
    own = isinstance(error, KslError)
    if told.stack:
        frame = told.stack[0 if follows else -1]
        place = (frame.filename, frame.lineno or 1)
    if isinstance(error, SyntaxError) and error.filename and is_project_file(error.filename, root):
        place = (error.filename, error.lineno or 1)
    return ImportFailure(
        module=module,
        file=relative(place[0], root),
        line=place[1],
        error=_headline(error),
        traceback="" if follows else "".join(told.stack.format() if own else told.format()),
        code=error.code if own else ImportFailed.code,
    )


class Frame(NamedTuple):
    """One line of a stack, outermost first in a list of them."""

    file: str
    line: int
    function: str


def project_frames(stack: Sequence[Frame], root: Path) -> list[Frame]:
    return [frame for frame in stack if is_project_file(frame.file, root)]


def cut_off(error: str, stack: Sequence[Frame], *, module: str, file: Path, root: Path) -> ImportFailure:
    """An import that did not come to its end, with what is known of where it stood."""
    frames = project_frames(stack, root)
    place = frames[-1] if frames else Frame(str(file), 1, "<module>")
    summary = traceback.StackSummary.from_list(
        [traceback.FrameSummary(frame.file, frame.line, frame.function) for frame in frames]
    )
    head = ["Traceback (most recent call last):\n"] if frames else []
    return ImportFailure(
        module=module,
        file=relative(place.file, root),
        line=place.line,
        error=error,
        traceback="".join([*head, *summary.format(), f"{error}\n"]),
        code=ImportFailed.code,
    )


def relative(file: str, root: Path) -> str:
    return str(Path(file).relative_to(root)) if Path(file).is_relative_to(root) else file


def _headline(error: BaseException) -> str:
    if isinstance(error, KslError):
        return str(error)
    name = type(error).__name__
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{name}: {text}" if text else name


def _trim(told: traceback.TracebackException, root: Path) -> None:
    kept = [frame for frame in told.stack if is_project_file(frame.filename, root)]
    told.stack = traceback.StackSummary.from_list(kept)
    for inner in (told.__cause__, told.__context__, *(told.exceptions or ())):
        if inner is not None:
            _trim(inner, root)
