from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from ksl import __version__
from ksl.cli.app import cli, paragraph
from ksl.cli.invocation import Invocation, pass_invocation
from ksl.errors import FolderHeld, InvalidInput, KslError, StoreFailed, UnknownRun, UnknownWorkflow


def test_every_command_of_the_tables_has_a_module_and_its_help():
    runner = CliRunner()
    for group, names in (
        ((), ("init", "build", "serve", "doctor")),
        (("workflows",), ("list", "run")),
        (("runs",), ("list", "show", "tail", "cancel", "retry")),
        (("hooks",), ("list", "resume", "reject")),
    ):
        for name in names:
            done = runner.invoke(cli, [*group, name, "--help"])
            assert done.exit_code == 0, done.output
            assert "--json" in done.output


def test_the_version_is_the_package_s():
    done = CliRunner().invoke(cli, ["--version"])
    assert (done.exit_code, done.stdout) == (0, f"ksl {__version__}\n")


def test_a_misspelt_command_is_a_usage_error_that_names_near_ones():
    done = CliRunner().invoke(cli, ["workflow", "list"])
    assert done.exit_code == 2
    assert "Did you mean workflows" in done.stderr
    assert done.stdout == ""


def test_an_unknown_flag_is_a_usage_error():
    assert CliRunner().invoke(cli, ["build", "--nonsense"]).exit_code == 2


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UnknownWorkflow("none"), 2),
        (UnknownRun("none"), 1),
        (FolderHeld("held"), 4),
        (StoreFailed("lost"), 5),
        (KslError("else"), 1),
    ],
)
def test_an_error_ends_the_command_with_its_code_and_one_paragraph(
    error: KslError, code: int, monkeypatch: pytest.MonkeyPatch
):
    with_command(monkeypatch, raising=error)
    done = CliRunner().invoke(cli, ["burst"])
    assert (done.exit_code, done.stdout) == (code, "")
    assert done.stderr == f"{error.code} {error}\n`ksl explain {error.code}` says more.\n"


def test_a_bug_is_one_line_and_a_traceback_only_when_asked_for(monkeypatch: pytest.MonkeyPatch):
    with_command(monkeypatch, raising=ZeroDivisionError("division by zero"))
    monkeypatch.delenv("KSL_DEBUG", raising=False)
    plain = CliRunner().invoke(cli, ["burst"])
    assert plain.exit_code == 1
    assert "bug in ksl: ZeroDivisionError: division by zero" in plain.stderr
    assert "KSL_DEBUG=1" in plain.stderr
    assert "Traceback" not in plain.stderr
    monkeypatch.setenv("KSL_DEBUG", "1")
    assert "Traceback" in CliRunner().invoke(cli, ["burst"]).stderr


def test_ctrl_c_says_what_was_left_behind(monkeypatch: pytest.MonkeyPatch):
    with_command(monkeypatch, raising=KeyboardInterrupt(), leaving="Left run run_1 as it is.")
    done = CliRunner().invoke(cli, ["burst"])
    assert (done.exit_code, done.stderr) == (130, "\nLeft run run_1 as it is.\n")


def test_the_fields_of_an_invalid_input_are_named_once():
    error = InvalidInput("The input does not fit.", [{"loc": ["items", 3, "name"], "msg": "Field required"}])
    assert paragraph(error).splitlines() == [
        "KSL407 The input does not fit.",
        "  items.3.name: Field required",
        "`ksl explain KSL407` says more.",
    ]
    told = InvalidInput("name: Field required.", [{"loc": ["name"], "msg": "Field required"}])
    assert len(paragraph(told).splitlines()) == 2


def test_shared_options_are_taken_before_and_after_the_command(monkeypatch: pytest.MonkeyPatch):
    seen: list[Invocation] = []

    @click.command()
    @pass_invocation
    def probe(invocation: Invocation) -> None:
        seen.append(invocation)

    from ksl.cli.invocation import Command

    command = Command("probe", callback=probe.callback)
    monkeypatch.setitem(cli.commands, "probe", command)
    CliRunner().invoke(cli, ["--json", "-C", "/tmp", "probe"], catch_exceptions=False)
    CliRunner().invoke(cli, ["probe", "--json", "--folder", "/tmp"], catch_exceptions=False)
    assert [(each.as_json, str(each.folder)) for each in seen] == [(True, "/tmp"), (True, "/tmp")]


def with_command(
    monkeypatch: pytest.MonkeyPatch, *, raising: BaseException, leaving: str | None = None
) -> None:
    @click.command()
    @pass_invocation
    def burst(invocation: Invocation) -> None:
        if leaving:
            invocation.on_interrupt = [leaving]
        raise raising

    monkeypatch.setitem(cli.commands, "burst", burst)
