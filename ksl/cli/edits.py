"""What an edit did to unfinished runs, told as the rule KSL117 at the line where they no longer fit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ksl.build.failure import relative
from ksl.build.rules.code_changed import CodeChanged

if TYPE_CHECKING:
    from ksl.build.discover import Project
    from ksl.build.rules.diagnostic import Diagnostic
    from ksl.engine.rehearsal import Rehearsed
    from ksl.log.store import Store
    from ksl.records import CodeRow, Event

_DONE = ("step_completed", "step_failed", "step_cancelled", "sleep_completed", "hook_resumed", "hook_rejected",
         "hook_expired")  # fmt: skip
_BEGUN = ("sleep_started", "hook_created")
_WORDS = {
    "drift": "the code gives a recorded step another input",
    "step-added": "the code asks for another step before one that is recorded",
    "step-removed": "the code no longer asks for a step that is recorded",
    "moved": "the code asks for recorded steps in another order",
    "ended-early": "the code ends before what is recorded",
    "other-output": "the code takes a recorded outcome for another",
    "workflow-removed": "the workflow is gone",
}


@dataclass(frozen=True, slots=True)
class Edit:
    """Of one run: where it stands, and what became of the code there."""

    workflow: str
    after: str
    words: str
    file: str
    line: int


async def edit_of(project: Project, store: Store, unfit: Rehearsed) -> Edit:
    """Errors: those of reading a run's events."""
    row, error = unfit
    code = None if row.code_version is None else await store.code(row.workflow, row.code_version)
    done: list[str] = []
    begun: list[str] = []
    for event in await store.events(row.run_id):
        if event.type in _DONE:
            done += _keys(event)
        elif event.type in _BEGUN:
            begun += _keys(event)
    gone = _gone(project, code)
    rule = str(getattr(error, "rule", ""))
    if row.workflow not in project.tables:
        words = _WORDS["workflow-removed"]
    elif done and done[-1] in gone:
        words = "its site is gone"
    elif lost := [key for key in dict.fromkeys([*done, *begun]) if key in gone]:
        words = f"the site of `{lost[0]}` is gone"
    else:
        words = _WORDS.get(rule, "the code no longer does what is recorded")
    after = f"after `{done[-1]}`" if done else "at the beginning"
    return Edit(
        row.workflow, after, words, *_place(project, row.workflow, str(getattr(error, "line", "")), code)
    )


def diagnostics(project: Project, edits: list[Edit]) -> list[Diagnostic]:
    """One for all runs that one edit broke at one place."""
    found: list[Diagnostic] = []
    for edit in dict.fromkeys(edits):
        number = edits.count(edit)
        runs = "1 run waits" if number == 1 else f"{number} runs wait"
        message = f"{runs} {edit.after}; {edit.words}"
        source = project.files.get(str(project.folder / edit.file))
        found.append(CodeChanged().diagnostic(message, source, file=edit.file, line=edit.line))
    return sorted(found)


def _keys(event: Event) -> Iterator[str]:
    """The key of a step at its site: "score" of "step:enrich-lead#0/score[1]#0"."""
    if event.step is not None:
        yield event.step.rpartition("/")[2].removeprefix("step:").partition("#")[0].partition("[")[0]


def _gone(project: Project, code: CodeRow | None) -> set[str]:
    """Keys of sites that there were when the run was started, and that there are no more."""
    if code is None:
        return set()
    before: dict[str, list[dict[str, str]]] = json.loads(code.sites)
    old = {site["id"] for sites in before.values() for site in sites}
    new = {site.key for slug in before if slug in project.tables for site in project.tables[slug].sites}
    return old - new


def _place(project: Project, workflow: str, line: str, code: CodeRow | None) -> tuple[str, int]:
    file, _, number = line.rpartition(":")
    if file and number.isdigit():
        return relative(file, project.folder), int(number)
    if workflow in project.tables:
        from ksl.build.canvas import canvas_of

        table = project.tables[workflow]
        return relative(table.file, project.folder), canvas_of(project, workflow).at.line
    files: dict[str, str] = json.loads(code.files) if code is not None else {}
    return next(iter(files), "ksl.toml"), 1
