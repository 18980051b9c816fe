from __future__ import annotations

from collections.abc import Iterator

from ksl.build.rules.diagnostic import Diagnostic, Finding
from ksl.build.rules.reading import Reading
from ksl.build.rules.rule import Rule
from ksl.build.source import SourceFile


class CodeChanged(Rule):
    """Code that unfinished runs have gone through no longer asks for what they recorded: `ksl serve` would hold
    them. `ksl build --runs` replays each of them, and compares the step calls of the code that they were started
    with to those of the code in the folder, to say which edit it was.

    In the example, runs wait for the hook, and `notify` has been taken out before it since they were started.
    """

    code = "KSL117"
    title = "code changed under unfinished runs"
    needs_runs = True
    bad = """
from actions.desk import charge

from ksl import Context, workflow


@workflow
async def order(amount: int, ctx: Context) -> str:
    answer = await ctx.hook(str, title="Charge it?")
    return await charge.run(amount=amount)
"""
    good = """
from actions.desk import charge, notify

from ksl import Context, workflow


@workflow
async def order(amount: int, ctx: Context) -> str:
    await notify.run(text="soon")
    answer = await ctx.hook(str, title="Charge it?")
    return await charge.run(amount=amount)
"""
    fix = (
        "Keep the old code for them under its slug, or write code that fits both: docs/guide/code-changes.md."
    )

    def findings(self, file: Reading) -> Iterator[Finding]:
        """Nothing: this is asked of runs. See `diagnostic`."""
        return iter(())

    def diagnostic(self, message: str, source: SourceFile | None, *, file: str, line: int) -> Diagnostic:
        """At a whole line."""
        lines = source.text.split("\n") if source is not None else []
        text = lines[line - 1].rstrip("\r") if 0 < line <= len(lines) else ""
        return Diagnostic(
            file=file,
            line=line,
            col=len(text) - len(text.lstrip()) + 1,
            code=self.code,
            severity=self.severity,
            end_line=line,
            end_col=max(len(text.rstrip()) + 1, 2),
            message=message,
            fix=self.fix,
            source=text,
        )
