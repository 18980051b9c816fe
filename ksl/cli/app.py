"""The tree of commands. A command's module is imported when it is called: `ksl --help` stays quick."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from ksl import __version__
from ksl.cli import exits, streams
from ksl.cli.invocation import Invocation, with_shared
from ksl.cli.redaction import REDACTOR
from ksl.errors import KslError


class LazyGroup(click.Group):
    """A group whose commands are `{name: (module, one line of help)}`; each module holds one `command`."""

    def __init__(self, *args: Any, table: dict[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.table, *self.commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in self.commands or cmd_name not in self.table:
            return self.commands.get(cmd_name)
        module = importlib.import_module(f"ksl.cli.commands.{self.table[cmd_name][0]}")
        return module.command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        lines = {name: text for name, (_, text) in self.table.items()}
        lines |= {name: group.get_short_help_str(limit=200) for name, group in self.commands.items()}
        with formatter.section("Commands"):
            formatter.write_dl([(name, lines[name]) for name in self.list_commands(ctx)])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        known = self.list_commands(ctx)
        if args and not args[0].startswith("-") and args[0] not in known:
            import difflib

            near = difflib.get_close_matches(args[0], known, n=3)
            meant = f" Did you mean {' or '.join(near)}?" if near else f" There are: {', '.join(known)}."
            ctx.fail(f'No such command "{args[0]}".{meant}')
        return super().resolve_command(ctx, args)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return with_shared(super().get_params(ctx))


class Root(LazyGroup):
    """Where every exception of a command becomes words on stderr and an exit code."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> NoReturn:
        invocation = extra.setdefault("obj", Invocation())
        streams.open_what_is_closed()
        try:
            # Without standalone mode click returns the code of ctx.exit() and of --help.
            code = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
            sys.stdout.flush()
        except click.ClickException as error:
            error.show()
            code = error.exit_code
        except KslError as error:
            narrate(paragraph(error))
            code = exits.exit_code(error)
        except (KeyboardInterrupt, click.Abort):
            narrate(" ".join(invocation.on_interrupt) or "Interrupted.")
            code = exits.INTERRUPTED
        except BrokenPipeError:
            # Whoever read our stdout has left (`ksl runs list | head`): there is nobody to say anything to.
            streams.leave_stdout()
            code = exits.FAILED
        except Exception as error:
            if isinstance(error, OSError) and (said := streams.stdout_mishap(error)):
                streams.leave_stdout()
            else:
                said = our_fault(error)
            narrate(said)
            code = exits.FAILED
        sys.exit(code if isinstance(code, int) else exits.DONE)


def narrate(text: str) -> None:
    click.echo(REDACTOR.text(text), err=True)


def paragraph(error: KslError) -> str:
    """The error as a person reads it. Fields of an invalid input are listed where its text omits them."""
    found: list[dict[str, Any]] = getattr(error, "errors", [])
    lines = [f"{error.code} {error}"]
    for item in found:
        where, why = ".".join(str(part) for part in item.get("loc", ())), str(item.get("msg", ""))
        if where not in str(error) or why not in str(error):
            lines.append(f"  {where or 'the whole input'}: {why}")
    return "\n".join([*lines, error.more])


def our_fault(error: Exception) -> str:
    if os.environ.get("KSL_DEBUG") == "1":
        return "".join(traceback.format_exception(error)).rstrip()
    last = traceback.extract_tb(error.__traceback__)[-1:]
    where = f" at {last[0].filename}:{last[0].lineno}" if last else ""
    return (
        f"This is a bug in ksl: {type(error).__name__}: {error}{where}. "
        "Run the command again with KSL_DEBUG=1 for the traceback, and please report it."
    )


@click.command(
    cls=Root,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    help="Durable workflows in Python, on this machine: one process, one SQLite file.",
    epilog="Exit codes: 0 done, 1 failed, 2 usage, 3 suspended, 4 cannot reach or open, 5 the store failed.",
    table={
        "init": ("init", "Write a small project that works."),
        "build": ("build", "Import the project and say what is wrong with it."),
        "canvas": ("canvas", "Draw a workflow from its source, running nothing."),
        "dev": ("dev", "Serve the project, and anew whenever its code changes."),
        "tui": ("tui", "Watch runs and answer hooks in the terminal."),
        "serve": ("serve", "Run the project's workflows and answer HTTP until stopped."),
        "open": ("open", "Open the console in a browser, logged in."),
        "models": ("models", "Which models can be asked: keys, servers that answer."),
        "explain": ("explain", "Say why an error comes up and what to do."),
        "doctor": ("doctor", "Check this machine, the project and its data; say what to do."),
        "backup": ("backup", "Copy the database into one file, also while a server runs."),
        "restore": ("restore", "Put a backup in the place of the database."),
        "prune": ("prune", "Delete runs that finished long ago."),
    },
)
@click.version_option(__version__, message="ksl %(version)s")
def cli() -> None: ...


def _group(name: str, text: str, table: dict[str, tuple[str, str]]) -> None:
    cli.add_command(LazyGroup(name, help=text, table=table))


_group(
    "workflows",
    "List the project's workflows; run one.",
    {
        "list": ("workflows_list", "The workflows of this project."),
        "run": ("workflows_run", "Start a run and stay with it until it ends or waits."),
    },
)
_group(
    "runs",
    "Look at runs; stop them, mend them, let them go on.",
    {
        "list": ("runs_list", "Runs, newest first."),
        "show": ("runs_show", "One run: what it was given, what it did, what became of it."),
        "debug": ("runs_debug", "Step through a run: where its body stood, what its variables held."),
        "tail": ("runs_tail", "A run's events, old and new, until it ends."),
        "cancel": ("runs_cancel", "Ask a run, or all of a filter, to stop; clean-up still runs."),
        "retry": ("runs_retry", "Let failed or held runs go on; what they completed is kept."),
        "pause": ("runs_pause", "Hold a run, or all of a filter, until released."),
        "release": ("runs_release", "Let held runs go on."),
        "wake": ("runs_wake", "End a sleep before its moment."),
        "fork": ("runs_fork", "A new run with the history of another, up to a step."),
    },
)
_group(
    "agents",
    "List the project's agents; give one something to do.",
    {
        "list": ("agents_list", "The agents of this project."),
        "prompt": ("agents_prompt", "Give an agent something to do, and stay until it answers."),
    },
)
_group(
    "sessions",
    "What was said in conversations with agents.",
    {
        "list": ("sessions_list", "Sessions, those with the newest prompts first."),
        "show": ("sessions_show", "One session: messages, calls of tools, what it used."),
    },
)
_group(
    "hooks",
    "What runs wait for; answer it.",
    {
        "list": ("hooks_list", "Hooks that wait for an answer."),
        "resume": ("hooks_resume", "Answer a hook."),
        "reject": ("hooks_reject", "Refuse a hook; the run gets HookRejected."),
    },
)
_group(
    "triggers",
    "What starts runs by itself; fire it, switch it off.",
    {
        "list": ("triggers_list", "Webhooks, cron sources and polls, with what they start."),
        "show": ("triggers_show", "One source: its next times, its newest firing."),
        "url": ("triggers_url", "Where a webhook's deliveries are posted to."),
        "runs": ("triggers_runs", "The firings of a source, newest first."),
        "invoke": ("triggers_invoke", "Fire a source now."),
        "enable": ("triggers_enable", "Let a source fire again."),
        "disable": ("triggers_disable", "Keep a source from firing."),
    },
)
_group(
    "subscriptions",
    "Who gets a run of a subscribable workflow at each firing.",
    {
        "list": ("subscriptions_list", "Who is subscribed to what."),
        "add": ("subscriptions_add", "Give a user a run at each firing."),
        "enable": ("subscriptions_enable", "Let a subscriber get runs again."),
        "disable": ("subscriptions_disable", "Keep a subscriber from getting runs."),
        "remove": ("subscriptions_remove", "Delete a subscription."),
    },
)
_group(
    "credentials",
    "What actions act with: set it, look where it is set, change the key.",
    {
        "list": ("credentials_list", "Which credentials are set, and where; never a value."),
        "set": ("credentials_set", "Set fields of a credential."),
        "remove": ("credentials_remove", "Delete a credential from one scope."),
        "rotate": ("credentials_rotate", "Seal everything with a new key."),
        "connect": ("credentials_connect", "Obtain a credential with OAuth, in the browser."),
    },
)
_group(
    "db",
    "Look at the database itself.",
    {
        "size": ("db_size", "How large it is, and with what."),
    },
)
