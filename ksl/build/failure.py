"""Why a module of a project did not load, told in the project's own lines."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path

from ksl.build.loader import is_project_file
from ksl.errors import ImportFailed, KslError


@dataclass(frozen=True, slots=True)
class ImportFailure:
    """`file` and `line` are the innermost line of the project; `traceback` has the project's frames only."""

    module: str  # the one that discovery was importing; `file` may be another, which it imports
    file: str  # relative to the project folder, where it lies below it
    line: int
    error: str  # "ZeroDivisionError: division by zero"
    traceback: str
    code: str  # the error's own KSL code, or ImportFailed's

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.error}"


def import_failure(error: BaseException, *, module: str, file: Path, root: Path) -> ImportFailure:
    """`file` is where `module` lies; it is named when the error has no frame in the project."""
    told = traceback.TracebackException.from_exception(error)
    _trim(told, root)
    place = (str(file), 1)
    if told.stack:
        place = (told.stack[-1].filename, told.stack[-1].lineno or 1)
    if isinstance(error, SyntaxError) and error.filename and is_project_file(error.filename, root):
        place = (error.filename, error.lineno or 1)
    return ImportFailure(
        module=module,
        file=relative(place[0], root),
        line=place[1],
        error=_headline(error),
        traceback="".join(told.format()),
        code=error.code if isinstance(error, KslError) else ImportFailed.code,
    )


def relative(file: str, root: Path) -> str:
    return str(Path(file).relative_to(root)) if Path(file).is_relative_to(root) else file


def _headline(error: BaseException) -> str:
    name = type(error).__name__
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{name}: {text}" if text else name


def _trim(told: traceback.TracebackException, root: Path) -> None:
    kept = [frame for frame in told.stack if is_project_file(frame.filename, root)]
    told.stack = traceback.StackSummary.from_list(kept)
    for inner in (told.__cause__, told.__context__, *(told.exceptions or ())):
        if inner is not None:
            _trim(inner, root)
