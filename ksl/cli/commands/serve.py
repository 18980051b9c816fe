"""`ksl serve`"""

from __future__ import annotations

import asyncio
import gc
import secrets
import signal
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from ksl.cli import exits
from ksl.cli.app import narrate
from ksl.cli.arguments import DURATION
from ksl.cli.checks.folder import CLOCK_SLACK_S, clock_behind_s
from ksl.cli.connect import FOLDER_WAIT_S, LOOK_AGAIN_S
from ksl.cli.invocation import Invocation, LocalCommand, pass_invocation
from ksl.cli.project import count, discovered, settings_of
from ksl.cli.redaction import REDACTOR
from ksl.cli.serving_token import adopt_token, refuse_open_door
from ksl.cli.stderr_log import log_to_stderr
from ksl.define.duration import format_duration
from ksl.engine.server_log import ServerLog
from ksl.errors import FolderHeld
from ksl.log.lock import FolderLock, read_holder

if TYPE_CHECKING:
    from ksl.build.config import Settings
    from ksl.build.discover import Project
    from ksl.runtime import Runtime


@click.command(cls=LocalCommand, name="serve")
@click.option("--host", metavar="H", help="Listen here. Beyond this machine only with a token of your own.")
@click.option("--port", type=click.IntRange(0, 65535), metavar="P", help="0 takes any free port.")
@click.option("--durability", type=click.Choice(["full", "process"]), help="What a commit survives.")
@click.option("--keep-going", is_flag=True, help="Serve what loaded, although some of the code did not.")
@click.option(
    "--drain", type=DURATION, default="10s", show_default=True, help="How long steps in flight may finish."
)
@pass_invocation
@click.pass_context
def command(
    ctx: click.Context,
    invocation: Invocation,
    host: str | None,
    port: int | None,
    durability: str | None,
    keep_going: bool,
    drain: float,
) -> None:
    """Run the project's workflows and answer HTTP until stopped.

    SIGTERM or Ctrl-C once: no new work, steps in flight finish within --drain. Twice: stop at once. What was
    cut off runs again at the next start; nothing that is stored is lost either way.
    """
    flags = {"server.host": host, "server.port": port, "store.durability": durability}
    settings = settings_of(invocation, flags)
    refuse_open_door(settings)
    if (holder := read_holder(settings.data_folder)) is not None and holder.url:
        # Already here, before anything is imported or bound: a second server is told at once.
        asyncio.run(_refuse_second_server(settings))
    with log_to_stderr(), discovered(settings) as project:
        if not keep_going:
            project.raise_if_broken()
        said = _Said()
        if broken := [*project.failures, *project.duplicates]:
            said.warn("Serving without:" + "".join(f"\n  {failure}" for failure in broken))
        _tell_of_rules(project, said)
        _tell_of_open_sources(settings, project, said)
        sock = _bound(settings)
        ctx.exit(asyncio.run(_serve(settings, project, sock, said, drain_s=drain)))


class _Said:
    """What the server tells of itself: on stderr for people, and among the lines of its log."""

    def __init__(self) -> None:
        self.log = ServerLog(REDACTOR, boot=secrets.token_hex(4))

    def tell(self, text: str, *, level: str = "info") -> None:
        narrate(text)
        self.log.tell(text, level=level)

    def warn(self, text: str) -> None:
        self.tell(text, level="warning")


def _tell_of_rules(project: Project, said: _Said) -> None:
    """What breaks a rule, and which workflows start no runs for it."""
    from ksl.build.rules.enforce import enforce
    from ksl.build.rules.report import as_text

    for diagnostic in enforce(project):
        said.warn(as_text(diagnostic))
    if project.broken:
        slugs = ", ".join(sorted(project.broken))
        said.warn(
            f"Until this is right, no runs of these workflows start, and unfinished ones are held: {slugs}. "
            "After that, `ksl runs retry --status held` lets them go on."
        )


def _tell_of_open_sources(settings: Settings, project: Project, said: _Said) -> None:
    """Webhooks that anybody can fire, where others than this machine reach the server."""
    from ksl.build.config import is_loopback
    from ksl.define.webhook import WebhookSource

    sources = project.triggers.values()
    open_to_all = [each.slug for each in sources if isinstance(each, WebhookSource) and each.verify is None]
    if open_to_all and (settings.server.public_url or not is_loopback(settings.server.host)):
        said.warn(
            f"Whoever reaches this server can start runs by {', '.join(sorted(open_to_all))}: these sources verify "
            "nothing. Give them verify=, see docs/guide/verification.md."
        )


async def _serve(
    settings: Settings, project: Project, sock: socket.socket, said: _Said, *, drain_s: float
) -> int:
    from ksl.api.server import serve as answer_http

    began = time.monotonic()
    _tell_of_the_clock(settings, said)
    try:
        runtime = await _opened(settings, project, said.log)
    except BaseException:
        sock.close()
        raise
    stopping = _Stopping(runtime, said, drain_s)
    try:
        adopt_token(runtime)
        if runtime.unfit:
            said.warn(
                f"{count(runtime.unfit, 'run')} that waited no longer fit the code: held, as the log above says. "
                "`ksl build --runs` tells which edit did it; with the old code back, "
                "`ksl runs retry --status held` lets them go on."
            )
        unfinished = await _unfinished(runtime)
        _settle_memory()

        def ready(url: str) -> None:
            runtime.announce(url)
            took = format_duration(round(time.monotonic() - began, 2))
            kinds = [count(len(project.defined), "workflow")]
            kinds += [count(len(project.agents), "agent")] if project.agents else []
            kinds += [count(len(project.triggers), "trigger")] if project.triggers else []
            said.tell(
                f"ksl serves {settings.project.name} at {url}: {', '.join(kinds)}, "
                f"{count(unfinished, 'unfinished run')} recovered, ready in {took}."
            )

        answering = asyncio.create_task(answer_http(runtime, sock=sock, on_ready=ready, stop=stopping.asked))
        stopping.answering = answering
        await asyncio.wait({answering, runtime.failed}, return_when=asyncio.FIRST_COMPLETED)
        if runtime.failed.done():
            answering.cancel()
        with suppress(asyncio.CancelledError):
            await answering
    finally:
        failed = runtime.failed.done()
        await runtime.close(drain_s=0.0 if failed or stopping.at_once else stopping.left_s())
    if failed:
        raise runtime.failed.result()
    return stopping.exit_code


class _Stopping:
    """What the signals have said so far."""

    def __init__(self, runtime: Runtime, said: _Said, drain_s: float) -> None:
        self.asked = asyncio.Event()
        self.at_once = False
        self.exit_code = exits.DONE
        self.answering: asyncio.Task[None] | None = None
        self._runtime = runtime
        self._said = said
        self._drain_s = drain_s
        self._until = 0.0
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._heard, number)

    def left_s(self) -> float:
        """Of the time to drain; the requests in flight have had their part of it."""
        return max(self._until - time.monotonic(), 0.0) if self.asked.is_set() else self._drain_s

    def _heard(self, number: signal.Signals) -> None:
        if not self.asked.is_set():
            self.asked.set()
            self._until = time.monotonic() + self._drain_s
            if self._runtime.figures().steps_in_flight:
                drain = format_duration(self._drain_s)
                self._said.tell(
                    f"{number.name}: no new work; steps in flight have {drain}. Once more stops at once."
                )
            else:
                self._said.tell(f"{number.name}: stopping.")
            return
        if not self.at_once:
            self.at_once = True
            self.exit_code = 128 + number
            self._said.warn(
                f"{number.name} again: stopping at once. What was cut off runs again at the next start."
            )
            self._runtime.stop_now()
            if self.answering is not None:
                self.answering.cancel()


async def _opened(settings: Settings, project: Project, log: ServerLog) -> Runtime:
    """A server that has the folder is final; a command that has it is waited for, as it will end."""
    from ksl.runtime import Runtime

    until = time.monotonic() + FOLDER_WAIT_S
    while True:
        try:
            return await Runtime.open(
                settings.folder, settings, project=project, serve=True, redactor=REDACTOR, log=log
            )
        except FolderHeld:
            holder = read_holder(settings.data_folder)
            if (holder is not None and holder.url) or time.monotonic() >= until:
                raise
        await asyncio.sleep(LOOK_AGAIN_S)


def _tell_of_the_clock(settings: Settings, said: _Said) -> None:
    """Before the store is opened, which writes to it."""
    behind_s = clock_behind_s(settings.data_folder, now_s=time.time())
    if behind_s > CLOCK_SLACK_S:
        said.warn(
            f"The clock was set back, or is wrong: the database was written {format_duration(round(behind_s))} after "
            "what it says now. Runs that sleep wake no earlier than their moment by this clock."
        )


def _bound(settings: Settings) -> socket.socket:
    """Bound before the store is opened: a port in use must not cost a recovery."""
    from ksl.api.server import bind
    from ksl.errors import PortInUse

    try:
        return bind(settings.server.host, settings.server.port)
    except PortInUse:
        # Most likely a server of this very folder, and then that is what has to be said.
        asyncio.run(_refuse_second_server(settings))
        raise


async def _refuse_second_server(settings: Settings) -> None:
    """Errors: FolderHeld, with the URL of a server that is still starting, too."""
    until = time.monotonic() + FOLDER_WAIT_S
    while (holder := read_holder(settings.data_folder)) is not None:
        if holder.url or time.monotonic() >= until:
            await FolderLock(settings.data_folder).acquire()
            return
        await asyncio.sleep(LOOK_AGAIN_S)


async def _unfinished(runtime: Runtime) -> int:
    from ksl.records import FINISHED

    counts = await runtime.store.run_counts()
    return sum(number for status, number in counts.items() if status not in FINISHED)


def _settle_memory() -> None:
    """What is loaded now stays, so collections need not look at it. The figures: engine-measurements 4.3."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
