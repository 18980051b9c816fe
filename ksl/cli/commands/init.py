"""`ksl init [DIR]`"""

from __future__ import annotations

from pathlib import Path

import click

from ksl.cli.app import narrate
from ksl.cli.invocation import Invocation, LocalCommand, pass_invocation
from ksl.cli.output import emit_json
from ksl.errors import BadRequest, FolderExists

FILES = {
    "ksl.toml": """\
# Settings of this project; every key has a default, and `KSL_SERVER_PORT=8000` beats this file.
[project]
name = PROJECT

[server]
port = 7420
""",
    "workflows/hello.py": '''\
"""A workflow that greets somebody: one action, called as one durable step."""

from pydantic import BaseModel

from ksl import action, workflow


class Person(BaseModel):
    name: str


class Greeting(BaseModel):
    message: str


@action
async def greet(name: str) -> Greeting:
    """Reads, writes, requests: whatever touches the world belongs into an action."""
    return Greeting(message=f"Hello, {name}")


@workflow
async def hello(input: Person) -> Greeting:
    """Greets a person."""
    return await greet.run(name=input.name)
''',
    "tests/test_hello.py": '''\
"""Called directly, an action is the plain function it was written as."""

import asyncio

from workflows.hello import greet


def test_a_person_is_greeted_by_name():
    greeting = asyncio.run(greet(name="Ada"))
    assert greeting.message == "Hello, Ada"
''',
    "pytest.ini": """\
[pytest]
pythonpath = .
testpaths = tests
""",
    ".gitignore": """\
.ksl/
__pycache__/
.pytest_cache/
""",
}


@click.command(cls=LocalCommand, name="init")
@click.argument("directory", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@pass_invocation
def command(invocation: Invocation, directory: Path) -> None:
    """Write a small project that works. Nothing that is there already is touched."""
    folder = invocation.start / directory
    _refuse_what_exists(folder)
    for name, text in FILES.items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # "x": a file that has come up since the look above is not overwritten either.
            with path.open("x", encoding="utf-8") as file:
                file.write(text.replace("PROJECT", _quoted(folder.resolve().name or "ksl")))
        except OSError as error:
            raise BadRequest(
                f"{path} cannot be written: {error.strerror or error}. What was written before it is left "
                "there; choose a folder that you may write to."
            ) from None
    if invocation.prints_json:
        emit_json({"folder": str(folder.resolve()), "files": list(FILES)})
    _say_what_next(folder)


def _refuse_what_exists(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise FolderExists(f"{folder} is a file, not a folder. Nothing was written; choose another name.")
    if there := [name for name in FILES if (folder / name).exists() or (folder / name).is_symlink()]:
        raise FolderExists(
            f"{folder.resolve()} already holds {', '.join(there)}, and `ksl init` overwrites nothing. "
            "Nothing was written; choose an empty folder: `ksl init my-project`."
        )


def _quoted(name: str) -> str:
    """A TOML string. Names of folders may hold anything."""
    import json

    return json.dumps(name, ensure_ascii=True)


def _say_what_next(folder: Path) -> None:
    go = "" if folder.resolve() == Path.cwd() else f"  cd {folder}\n"
    narrate(
        f"A project is in {folder.resolve()}. Next:\n{go}"
        """  ksl workflows run hello --input '{"name": "Ada"}'\n"""
        "  ksl serve                 # runs go on across restarts; HTTP on http://127.0.0.1:7420\n"
        "  ksl dev                   # the same while you write: served anew at each change\n"
        "  python -m pytest          # the example's test, with `pip install pytest`\n"
        "The workflow is in workflows/hello.py; put more files beside it."
    )
