"""`ksl runs show ID`"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any, cast

import click

from ksl.cli.connect import reading
from ksl.cli.invocation import Command, Invocation, pass_invocation
from ksl.cli.output import Json, compact, emit_json, emit_table, emit_text, printable
from ksl.cli.words import error_of, event_line, label, step_of, took, waits_of
from ksl.errors import BadRequest, NotAProject
from ksl.views.links import told_of_link

EXTRAS = ("events", "steps", "trace", "links", "logs")
LEFT_OUT = ("trigger", "input", "output", "subscriber", "code_version")  # of a summary


@click.command(cls=Command, name="show")
@click.argument("run_id", metavar="ID")
@click.option("--summary", is_flag=True, help="Only what became of it, without input and output.")
@click.option("--field", metavar="F", help="One value: status, output.items[0].name. Text comes unquoted.")
@click.option("--include", metavar="WHAT", help="Add events, steps, trace, links or logs; with commas.")
@pass_invocation
def command(
    invocation: Invocation, run_id: str, summary: bool, field: str | None, include: str | None
) -> None:
    """One run: what it was given, what it did, what became of it."""
    if (summary, field is not None, include is not None).count(True) > 1 and (summary or include is None):
        raise click.UsageError("Give one of --summary, --field and --include.")
    extras = _extras(include, field)
    if not invocation.prints_json and not summary and field is None:
        extras |= {"steps", "links"}
    run = asyncio.run(_ask(invocation, run_id, extras))
    if field is not None:
        _emit_field(value_at(run, field), quoted=invocation.as_json)
    elif summary:
        _emit_summary(run, prints_json=invocation.prints_json)
    elif invocation.prints_json:
        emit_json(run)
    else:
        _emit_text(run, _folder(invocation))


async def _ask(invocation: Invocation, run_id: str, extras: frozenset[str]) -> Json:
    async with reading(invocation) as reader:
        return await reader.run(run_id, include=extras)


def _extras(include: str | None, field: str | None) -> frozenset[str]:
    names = {name.strip() for name in (include or "").split(",") if name.strip()}
    if unknown := sorted(names - set(EXTRAS)):
        raise click.UsageError(f'--include: there is no "{unknown[0]}"; there are {", ".join(EXTRAS)}.')
    top = re.split(r"[.\[]", field or "", maxsplit=1)[0]
    return frozenset(names | ({top} & set(EXTRAS)))


def value_at(run: Json, path: str) -> Any:
    """The value at a path like `output.items[3].name`. BadRequest says what there is instead."""
    value: Any = run
    walked = ""
    for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path):
        inner = _inner(value, name, index)
        if not inner:
            raise BadRequest(f"--field {path}: there is no {name or f'[{index}]'} in {_what(value, walked)}.")
        value = inner[0]
        walked += f".{name}" if name and walked else name or f"[{index}]"
    return value


def _inner(value: Any, name: str, index: str) -> list[Any]:
    """The member or item in a list of one; empty where there is none."""
    if name:
        return [cast(Json, value)[name]] if isinstance(value, dict) and name in value else []
    return cast("list[Any]", value)[int(index) :][:1] if isinstance(value, list) else []


def _what(value: Any, walked: str) -> str:
    where = walked or "a run"
    if isinstance(value, dict):
        return f"{where}; it has {', '.join(cast(Json, value)) or 'nothing'}"
    if isinstance(value, list):
        return f"{where}; it has {len(cast('list[Any]', value))} items"
    return f"{where}, which is {compact(value, 60)}"


def _emit_field(value: Any, *, quoted: bool) -> None:
    if isinstance(value, str) and not quoted:
        emit_text(value)
    else:
        emit_json(value)


def _emit_summary(run: Json, *, prints_json: bool) -> None:
    if prints_json:
        error = {key: error_of(run)[key] for key in ("type", "message", "step") if key in error_of(run)}
        emit_json({key: run[key] for key in run if key not in LEFT_OUT} | {"error": error or None})
        return
    for line in _head(run):
        click.echo(line)


def _folder(invocation: Invocation) -> Path:
    """The project's; tracebacks of a server elsewhere are told with the paths that they have there."""
    from ksl.build.config import find_project

    try:
        return find_project(invocation.start)
    except NotAProject:
        return invocation.start


def _emit_text(run: Json, folder: Path) -> None:
    for line in _head(run):
        click.echo(line)
    if place := _raised_at(run, folder):
        click.echo(printable(f"raised    {place}"))
    click.echo(f"input     {printable(compact(run['input'], 400))}")
    if run["status"] == "succeeded":
        click.echo(f"output    {printable(compact(run['output'], 400))}")
    if run.get("steps"):
        click.echo("")
        emit_table(("STEP", "STATUS", "TRIES", "TOOK", "RESULT"), [_row(step) for step in run["steps"]])
    for link in run.get("links", ()):
        click.echo(f"\nlink of {link['step']}: {told_of_link(link)}")
        for visit in link["visits"][-10:]:
            click.echo(printable(f"  {_visit(visit)}"))
    for event in run.get("events", ()):
        click.echo(event_line(event))
    for line in run.get("logs", ()):
        click.echo(printable(f"{line.get('at', '')} {line.get('level', '')} {line.get('message', '')}"))


def _head(run: Json) -> list[str]:
    lines = [f"run       {run['run_id']} of {run['workflow']}, attempt {run['attempt']}"]
    lines.append(f"status    {label(run['status'])}{f' in {took(run)}' if took(run) else ''}")
    if run.get("forked_from"):
        lines.append(f"made from {run['forked_from']}")
    if forks := run.get("forks"):
        lines.append(f"led to    {', '.join(forks)}")
    for item in waits_of(run):
        due = f" until {item['due']}" if item.get("due") else ""
        lines.append(printable(f"waits     {item.get('kind', '')} {step_of(item)}{due}"))
    if error := error_of(run):
        step = f" (step {step_of(error)})" if error.get("step") else ""
        lines.append(printable(f"error     {error.get('type')}: {error.get('message')}{step}"))
    return lines


def _visit(visit: Json) -> str:
    mark = "  the answer" if visit["answered"] else ""
    return f"{visit['at']}  {visit['method']} {visit['status']}  {visit['address']}  {visit['agent']}{mark}"


def _raised_at(run: Json, folder: Path) -> str:
    """The project's line that the error came from: in the action that failed, where it has a traceback."""
    from ksl.views.frames import frames_json

    error = error_of(run)
    failed = [error_of(step) for step in run.get("steps", ()) if step["id"] == step_of(error)]
    for text in [each.get("traceback") for each in (*failed, error)]:
        for frame in frames_json(text or "", folder):
            if frame["own"]:
                return f"{frame['file']}:{frame['line']} in {frame['function']}: {frame['code']}"
    return ""


def _row(step: Json) -> tuple[str, ...]:
    return (step["id"], step["status"], str(step.get("attempts") or ""), took(step), _came(step))


def _came(step: Json) -> str:
    if error := error_of(step):
        return f"{error.get('type', '')}: {error.get('message', '')}"
    return "" if step.get("output") is None else compact(step["output"], 60)
