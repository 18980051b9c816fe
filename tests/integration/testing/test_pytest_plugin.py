"""The fixture as a user has it: in a pytest of its own, in each way of running async tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

WORKFLOW = """
from ksl import Context, action, workflow

@action
async def greet(name: str) -> str:
    return f"Hello, {name}"

@workflow
async def welcome(input: str, ctx: Context) -> str:
    await ctx.sleep("1d")
    greeting = await greet.run(name=input)
    assert greeting, (await greet.run(name="nobody"))
    return greeting
"""
BODY = """
    run = await ksl_env.start(welcome, "Ada")
    assert run.status == "sleeping"
    assert await run.result() == "Hello, Ada"
    assert [call.step for call in ksl_env.calls(greet)] == ["greet#0"]
"""
AUTO = WORKFLOW + "async def test_it(ksl_env):" + BODY
STRICT = "import pytest\n" + WORKFLOW + "@pytest.mark.asyncio\nasync def test_it(ksl_env):" + BODY
BY_HAND = (
    "import asyncio\n"
    + WORKFLOW
    + "async def story(ksl_env):"
    + BODY
    + "\n\ndef test_it(ksl_env):\n    asyncio.run(story(ksl_env))\n"
)
LEFT_IN_FLIGHT = (
    WORKFLOW
    + """
async def test_it(ksl_env):
    async def slow():
        await ksl_env.sleep("1h")
        return "late"
    ksl_env.stub(greet, slow)
    await ksl_env.start(welcome, "Ada")
    await ksl_env.advance("1d")
    assert ksl_env.calls[0].status == "under way"
"""
)


def pytest_in(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    # The entry point as an installed ksl declares it, even if this one was installed before there was one.
    installed = folder / "installed" / "ksl_entry-1.dist-info"
    installed.mkdir(parents=True, exist_ok=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: ksl-entry\nVersion: 1\n")
    (installed / "entry_points.txt").write_text("[pytest11]\nksl = ksl.pytest_plugin\n")
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))
    }
    environment["PYTHONPATH"] = str(folder / "installed")
    command = [sys.executable, "-m", "pytest", "-W", "error", "-p", "no:cacheprovider", "-p", "no:randomly"]
    return subprocess.run(
        [*command, *options], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )


_SCOPE = ("-o", "asyncio_default_fixture_loop_scope=function")


@pytest.mark.process
@pytest.mark.parametrize(
    ("source", "options"),
    [
        pytest.param(AUTO, ("-o", "asyncio_mode=auto", *_SCOPE), id="auto"),
        pytest.param(STRICT, ("-o", "asyncio_mode=strict", *_SCOPE), id="strict"),
        pytest.param(BY_HAND, ("-p", "no:asyncio"), id="no-plugin-for-async-tests"),
        pytest.param(LEFT_IN_FLIGHT, ("-o", "asyncio_mode=auto", *_SCOPE), id="left-in-flight"),
        pytest.param(AUTO, ("-o", "asyncio_mode=auto", *_SCOPE, "--assert=plain"), id="plain-asserts"),
    ],
)
def test_the_fixture_works_in_every_way_of_running_async_tests(
    tmp_path: Path, source: str, options: tuple[str, ...]
) -> None:
    (tmp_path / "test_welcome.py").write_text(source)
    for _ in range(2):  # compiled, and from the file of compiled code that pytest keeps
        done = pytest_in(tmp_path, *options)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "1 passed" in done.stdout


@pytest.mark.process
def test_a_test_run_that_does_not_use_it_imports_next_to_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text(
        "import sys\n\ndef test_it():\n"
        "    heavy = ['ksl.testing', 'ksl.runtime', 'ksl.engine', 'ksl.log', 'pydantic', 'aiosqlite', 'fastapi']\n"
        "    assert [name for name in heavy if name in sys.modules] == []\n"
    )
    done = pytest_in(tmp_path, *_SCOPE)
    assert done.returncode == 0, done.stdout + done.stderr


def test_ksl_names_the_plugin_to_pytest() -> None:
    import tomllib

    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"ksl": "ksl.pytest_plugin"}
