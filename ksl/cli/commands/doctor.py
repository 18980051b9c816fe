"""`ksl doctor`"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import click

from ksl.cli import exits
from ksl.cli.checks import Finding
from ksl.cli.invocation import Invocation, LocalCommand, pass_invocation
from ksl.cli.output import emit_json, printable


@click.command(cls=LocalCommand, name="doctor")
@pass_invocation
@click.pass_context
def command(ctx: click.Context, invocation: Invocation) -> None:
    """Check this machine, the project and its data; say what to do.

    A line for each check: ok, warn or fail. A failed one makes the exit code 1.
    """
    found: list[Finding] = []
    for finding in _findings(invocation):
        found.append(finding)
        if not invocation.prints_json:
            click.echo(_line(finding))
    failed = any(finding.level == "fail" for finding in found)
    if invocation.prints_json:
        emit_json({"ok": not failed, "checks": [asdict(finding) for finding in found]})
    ctx.exit(exits.FAILED if failed else exits.DONE)


def _findings(invocation: Invocation) -> Iterator[Finding]:
    from ksl.cli.checks.credentials import credential_findings
    from ksl.cli.checks.database import database_findings
    from ksl.cli.checks.folder import folder_findings
    from ksl.cli.checks.machine import machine_findings
    from ksl.cli.checks.project import code_findings, settings_findings

    yield from machine_findings()
    found, settings = settings_findings(invocation)
    yield from found
    if settings is not None:
        yield from code_findings(settings)
        yield from folder_findings(settings.data_folder)
        yield from database_findings(settings)
        yield from credential_findings(settings)


def _line(finding: Finding) -> str:
    advice = f"  -> {finding.advice}" if finding.advice else ""
    return printable(f"{finding.level:<4}  {finding.check:<11}  {finding.found}{advice}")
