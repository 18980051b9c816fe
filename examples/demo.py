"""`make demo`: the main job on this repository's own history, killed half way with SIGKILL.

A real server runs `repo-report`. When three of its four parallel questions are answered and recorded, and git
is still busy with the fourth, the server is killed. A second server then finishes the run. Every time an
action's code runs it writes a line into a ledger; comparing that with the run's events shows that nothing
recorded ran twice.

Exits with 1 if anything is not as promised. Leaves the report in `reports/`, and no process.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
Json = dict[str, Any]

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_S = 90.0  # the longest wait for any one thing
FAST = ("commits-by-author#0", "churn-by-file#0", "commits-by-weekday#0")
SLOW = "biggest-files#0"
# Settings for another server, and (inside a git hook) the place of another repository, are not for this one.
FOREIGN = ("KSL_", "GIT_")
OURS = ("KSL_REPORTS", "GIT_CEILING_DIRECTORIES")


class NotAsPromised(Exception):
    """Something did not happen, or happened twice."""


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="ksl-demo-") as folder:
        stage = Stage(Path(folder))
        try:
            play(stage)
        except NotAsPromised as problem:
            print(f"\nThe demo failed: {problem}", file=sys.stderr)
            for server in stage.servers:
                print(f"\nThe last lines of {server.log.name}:\n{server.last_words()}", file=sys.stderr)
            return 1
        finally:
            for server in stage.servers:
                server.end()
    return 0


def play(stage: Stage) -> None:
    repository = stage.repository()

    say("Start a server. Its database is in an empty folder.")
    first = stage.serve(env=stage.slow_git())
    say("Start the run. It asks git four questions at once, pauses, and asks for approval before it writes.")
    wanted = {"path": str(repository), "approval_above": 0, "pause": "1s"}
    run_id = stage.ksl("workflows", "run", "repo-report", "--detach", "--input", json.dumps(wanted))["run_id"]
    note(f"run {run_id}")

    say("Wait until some answers are recorded while git is still busy with another.")
    before = stage.wait("three answers", lambda: half_way(stage, run_id))
    for step in completed(before):
        note(f"recorded      {step}")
    note(f"still busy    {SLOW}")

    say("Kill the server, as a power cut would.")
    first.kill()
    note(f"kill -9 {first.pid}")

    say("Start it again: the same command. It finds the run by itself.")
    second = stage.serve()
    say("The run goes on by itself until it needs a person.")
    hook = stage.wait("the hook", lambda: next((h for h in hooks(stage) if h["run_id"] == run_id), None))
    print("    $ ksl hooks list")
    note(f"{hook['step']}: {hook['title']}")
    say("Approve it.")
    stage.ksl("hooks", "resume", run_id, "--data", json.dumps({"approved": True}), echo=True)
    run = stage.wait("the end of the run", lambda: ended(stage, run_id))
    check(run["status"] == "succeeded", f"the run {run['status']}: {run['error']}")
    note(f"succeeded: {run['output']['detail']}")

    say("What is in the log:")
    events: list[Json] = run["events"]
    show_events(events, len(before))
    say("What really ran, from the ledger of effects:")
    prove(stage, before, events, first.pid, second.pid)

    report = Path(run["output"]["report"])
    check(report.is_file(), f"there is no report at {report}")
    say(f"The report, {report}, begins:")
    print("\n".join(f"    {line}".rstrip() for line in report.read_text().splitlines()[:24]))
    print("\nEverything held: killed half way, finished, and no recorded step ran twice.")


def half_way(stage: Stage, run_id: str) -> list[Json] | None:
    """The events, once the fast steps are recorded and the slow one is under way."""
    if not stage.busy.exists():
        return None
    events: list[Json] = stage.show(run_id)["events"]
    return events if set(FAST) <= set(completed(events)) else None


def hooks(stage: Stage) -> list[Json]:
    return stage.ksl("hooks", "list", echo=False)["hooks"]


def ended(stage: Stage, run_id: str) -> Json | None:
    run = stage.show(run_id)
    return run if run["status"] in ("succeeded", "failed", "cancelled", "held") else None


def completed(events: list[Json]) -> list[str]:
    return [event["step"].removeprefix("step:") for event in events if event["type"] == "step_completed"]


def show_events(events: list[Json], until_kill: int) -> None:
    for event in events:
        if event["seq"] == until_kill + 1:
            print("    ---  ----- killed, started again -----")
        print(f"    {event['seq']:>3}  {event['type']:<16} {event['step'] or ''}".rstrip())


def prove(stage: Stage, before: list[Json], events: list[Json], first: int, second: int) -> None:
    """Compares what is recorded with what ran. Raises NotAsPromised at the first difference."""
    check([event["seq"] for event in events] == [*range(1, len(events) + 1)], "the events are not contiguous")
    check(events[: len(before)] == before, "events of before the kill are not as they were")
    check(
        sum(event["type"] == "sleep_completed" for event in events) == 1, "the sleep did not end exactly once"
    )
    check(
        sum(event["type"] == "hook_resumed" for event in events) == 1, "the hook was not resumed exactly once"
    )
    steps, early = completed(events), set(completed(before))
    check(len(steps) == len(set(steps)) == 6, f"not six steps, each recorded once: {steps}")

    names = {first: "first", second: "second"}
    ledger = [json.loads(line) for line in stage.ledger.read_text().splitlines()]
    for step in steps:
        lines = [line for line in ledger if line["step"] == step]
        processes = [line["pid"] for line in lines]
        ran = ", then in the ".join(names.get(pid, str(pid)) for pid in processes)
        cut_off = step not in early and processes == [first, second]
        remark = " (the first attempt was killed before its result was stored)" if cut_off else ""
        print(f"    {step:<22} ran in the {ran} process{remark}")
        if step in early:
            check(processes == [first], f"{step} was recorded, and ran again: {lines}")
        elif step == SLOW:
            check(processes == [first, second], f"{step} was cut off once, so it runs once more: {lines}")
            check(len({line["key"] for line in lines}) == 1, f"{step}: its idempotency key changed: {lines}")
        else:
            check(processes == [second], f"{step} did not run exactly once: {lines}")
    note(f"{len(early)} steps were recorded before the kill; none of them ran again.")


class Stage:
    """The folder, the environment and the commands of one demo."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ledger = folder / "ledger.jsonl"
        self.busy = folder / "git-is-busy"  # made when git is asked the question that takes long
        self.servers: list[Server] = []
        self.port = free_port()
        kept = {key: value for key, value in os.environ.items() if not key.startswith(FOREIGN) or key in OURS}
        self.env = kept | {
            "KSL_STORE_PATH": str(folder / "data" / "ksl.db"),
            "KSL_SERVER_PORT": str(self.port),
            "KSL_DEMO_LEDGER": str(self.ledger),
            # Git refuses a checkout that another user owns; here the user just asked for this one.
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": str(ROOT),
        }
        program = Path(sys.executable).with_name("ksl")
        self.program = [str(program)] if program.exists() else [sys.executable, "-m", "ksl"]

    def repository(self) -> Path:
        """This project's own, or a small new one where there is no history (an unpacked archive)."""
        if shutil.which("git") is None:
            raise NotAsPromised("git is not installed, and the main job reads a git history. Install git.")
        if self._git(ROOT, "rev-parse", "--verify", "--quiet", "HEAD").returncode == 0:
            return ROOT
        print("This folder has no git history of its own, so the demo makes a small repository to read.")
        made = self.folder / "sample"
        made.mkdir()
        who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false")
        self._git(made, "init", "--quiet")
        for path in sorted((ROOT / "workflows").glob("*.py")):
            shutil.copy(path, made)
            self._git(made, "add", "--all")
            done = self._git(made, *who, "commit", "--quiet", "--no-verify", "-m", f"Add {path.name}")
            check(done.returncode == 0, f"git could not commit: {done.stderr}")
        return made

    def _git(self, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=60, check=False)

    def slow_git(self) -> dict[str, str]:
        """An environment in which `git ls-tree`, the question about sizes, does not come back.

        So there is a step under way at the kill on a machine of any speed.
        """
        folder = self.folder / "slow"
        folder.mkdir()
        script = (
            "#!/bin/sh\n"
            f'case " $* " in *" ls-tree "*) : > {shlex.quote(str(self.busy))}; exec sleep 600;; esac\n'
            f'exec {shlex.quote(shutil.which("git") or "git")} "$@"\n'
        )
        (folder / "git").write_text(script)
        (folder / "git").chmod(0o755)
        return {"PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}

    def serve(self, env: dict[str, str] | None = None) -> Server:
        print("    $ ksl serve")
        log = self.folder / f"server-{len(self.servers) + 1}.log"
        server = Server([*self.program, "serve"], env=self.env | (env or {}), log=log)
        self.servers.append(server)
        url = f"http://127.0.0.1:{self.port}"
        self.wait("the server", lambda: answers(f"{url}/readyz"))
        note(f"process {server.pid} listens on {url}")
        return server

    def ksl(self, *arguments: str, echo: bool = True) -> Json:
        """What the command printed. A command that fails ends the demo."""
        if echo:
            print(f"    $ {shlex.join(['ksl', *arguments])}")
        done = subprocess.run(
            [*self.program, *arguments],
            cwd=ROOT,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        what = f"`{shlex.join(['ksl', *arguments])}` ended with {done.returncode}: {done.stderr.strip()}"
        check(done.returncode == 0, what)
        return json.loads(done.stdout)

    def show(self, run_id: str) -> Json:
        return self.ksl("runs", "show", run_id, "--include", "events", echo=False)

    def wait(self, what: str, question: Callable[[], T | None]) -> T:
        """Asks until there is an answer. Gives up after a while, and at once when the server is gone."""
        deadline = time.monotonic() + PATIENCE_S
        while (answer := question()) is None:
            server = self.servers[-1]
            check(
                server.process.poll() is None, f"the server ended by itself, with {server.process.returncode}"
            )
            check(time.monotonic() < deadline, f"{what} did not come within {PATIENCE_S:.0f} s")
            time.sleep(0.05)
        return answer


class Server:
    """A real `ksl serve`, in a process group of its own so that nothing it started outlives it."""

    def __init__(self, command: list[str], *, env: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = self.process.pid
        self._alone = False

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._end_children()

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)  # does nothing to a process that was waited for
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._end_children()

    def last_words(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-30:])

    def _end_children(self) -> None:
        """Once only: the group's id is the server's pid, and an empty group's id may be used again."""
        if not self._alone:
            self._alone = True
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)


def answers(url: str) -> bool | None:
    try:
        # No proxy, whatever the environment says: the server is on this machine.
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=5) as answer:
            return True if answer.status == 200 else None
    except (urllib.error.URLError, OSError):
        return None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise NotAsPromised(otherwise)


def say(text: str) -> None:
    print(f"\n{text}", flush=True)


def note(text: str) -> None:
    print(f"    {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
