"""The tool bash: one command in a jail around the workspace, see `jail.py`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec

from ksl.agent.tool_set import Offer, ToolContext, ToolError
from ksl.agent.tools.arguments import Arguments, read_arguments, spec_of
from ksl.agent.tools.files import folder_of
from ksl.agent.tools.folder import ENTRIES_MAX
from ksl.define.sandbox import MIB, Sandbox

Json = dict[str, Any]
PROCESSES_MAX = 64
MEMORY_BYTES_MAX = 2048 * MIB
SHOWN_BYTES_MAX = 30_000
OUTPUT_BYTES_MAX = 16 * MIB  # a command that writes more is ended
_JAIL = Path(__file__).with_name("jail.py")
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_CONFIGURATION = (
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/pki/tls/certs",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
)
_NETWORK = ("/etc/hosts", "/etc/resolv.conf")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_ENVIRONMENT = {
    "HOME": "/workspace",
    "LANG": "C.UTF-8",
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "TERM": "dumb",
    "TMPDIR": "/tmp",
}
# With room for what the kernel allows one argument of a program.
_COMMAND = msgspec.Meta(min_length=1, max_length=20_000, description="What bash is given to carry out")


class Bash(Arguments, frozen=True):
    command: Annotated[str, _COMMAND]


class ShellTools:
    """`ksl.agent.tool_set.ToolSet` with the one tool."""

    name = "shell"
    names = ("bash",)

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._jails: set[asyncio.subprocess.Process] = set()

    async def offer(self, context: ToolContext) -> Offer:
        sandbox = self._sandbox
        reach = "with the network" if sandbox.network else "without a network"
        about = (
            f"Runs a command with bash in the workspace, {reach}. Gives what it wrote and its exit code. It ends after "
            f"{sandbox.shell_timeout_s:g} s, and everything it started ends with it."
        )
        bash = msgspec.structs.replace(spec_of("bash", about, Bash), effect="at_most_once")
        return Offer([bash], "For bash the workspace is /workspace, the folder it starts in.")

    async def call(self, tool: str, arguments: Json, context: ToolContext) -> Any:
        asked = read_arguments(arguments, Bash)
        if "\0" in asked.command:
            raise ToolError("a command has no null characters")
        folder = folder_of(self._sandbox, context.workspaces_root)
        with folder.opened():
            pass  # it is there, and is a folder
        return await self._run(asked.command, folder.root.absolute())

    async def close(self) -> None:
        for jail in self._jails:
            _end(jail)

    async def _run(self, command: str, workspace: Path) -> str:
        ours, theirs = os.pipe()
        try:
            order = _order(command, workspace, self._sandbox, status=theirs)
            try:
                jail = await asyncio.create_subprocess_exec(
                    sys.executable,
                    *("-I", "-S", "-B", str(_JAIL), json.dumps(order, ensure_ascii=False)),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.STDOUT,
                    env={},
                    cwd="/",
                    pass_fds=(theirs,),
                    start_new_session=True,
                )
            finally:
                os.close(theirs)
            self._jails.add(jail)
            try:
                output = await _Output().read(jail)
                await jail.wait()
            finally:
                # Also where the attempt is cancelled: nothing of the command goes on.
                _end(jail)
                await jail.communicate()
                self._jails.discard(jail)
            with open(ours, closefd=False) as status:  # noqa: ASYNC230 - it is written, and closed
                told = status.read()
        finally:
            os.close(ours)
        return _told(output, json.loads(told) if told else {}, self._sandbox)


class _Output:
    """The beginning and the end of what a command writes."""

    def __init__(self) -> None:
        self.head = bytearray()
        self.tail = bytearray()
        self.size = 0

    async def read(self, jail: asyncio.subprocess.Process) -> _Output:
        assert jail.stdout is not None
        while data := await jail.stdout.read(64 * 1024):
            self.size += len(data)
            room = SHOWN_BYTES_MAX // 2 - len(self.head)
            self.head += data[:room]
            self.tail += data[room:]
            del self.tail[: -SHOWN_BYTES_MAX // 2]
            if self.size > OUTPUT_BYTES_MAX:
                _end(jail)
        return self

    def text(self) -> str:
        left_out = self.size - len(self.head) - len(self.tail)
        middle = f"\n[{left_out:,} bytes left out]\n".encode() if left_out else b""
        return bytes(self.head + middle + self.tail).decode(errors="replace").replace("\0", "�")


def _told(output: _Output, told: Json, sandbox: Sandbox) -> str:
    if "failed" in told:
        raise ToolError(
            "bash cannot be used on this machine, since commands could not be contained: "
            f"{told['failed']}. Nothing was run. For the person who runs it: install bubblewrap, or allow user "
            "namespaces"
        )
    stopped = told.get("stopped", "output" if output.size > OUTPUT_BYTES_MAX else "time")
    text = output.text()
    end = "" if not text or text.endswith("\n") else "\n"
    if stopped:
        return f"{text}{end}[stopped: {_why(stopped, sandbox)}]"
    return f"{text}{end}[exit code {told['exit']}]"


def _why(stopped: str, sandbox: Sandbox) -> str:
    match stopped:
        case "processes":
            return f"it had more than {PROCESSES_MAX} processes"
        case "memory":
            return f"it used more than {MEMORY_BYTES_MAX // MIB} MiB of memory"
        case "files":
            return "the workspace holds more than it may; delete something"
        case "output":
            return f"it wrote more than {OUTPUT_BYTES_MAX // MIB} MiB of output"
        case _:
            return f"it ran longer than it may: {sandbox.shell_timeout_s:g} s"


def _end(jail: asyncio.subprocess.Process) -> None:
    # What it started ends with it: the first process of the jail is told by the kernel, and takes the rest along.
    if jail.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(jail.pid, signal.SIGKILL)


def _order(command: str, workspace: Path, sandbox: Sandbox, *, status: int) -> Json:
    seconds = math.ceil(sandbox.shell_timeout_s)
    limits = {
        "RLIMIT_AS": MEMORY_BYTES_MAX,
        "RLIMIT_CORE": 0,
        "RLIMIT_CPU": seconds,
        "RLIMIT_FSIZE": sandbox.file_bytes_max,
        "RLIMIT_NOFILE": 256,
        "RLIMIT_NPROC": PROCESSES_MAX,
    }
    readable = [*_SYSTEM, *_CONFIGURATION, *(_NETWORK if sandbox.network else ())]
    bubblewrap = shutil.which("bwrap")
    program: list[str] = []
    # As root the limit of processes does not hold; a namespace of our own has another one.
    if bubblewrap is not None and os.geteuid() != 0:
        program = _bubblewrap(bubblewrap, command, workspace, readable, network=sandbox.network)
        # Counted before there is a namespace, the limit would be the user's own.
        del limits["RLIMIT_NPROC"]
    return {
        "parent": os.getpid(),
        "status": status,
        "program": program,
        "command": command,
        "workspace": str(workspace),
        "network": sandbox.network,
        "readable": readable,
        "devices": _DEVICES,
        "environment": _ENVIRONMENT,
        "limits": limits,
        "processes": PROCESSES_MAX,
        "memory": MEMORY_BYTES_MAX,
        "timeout_s": sandbox.shell_timeout_s,
        "set_bytes_max": sandbox.set_bytes_max,
        "entries_max": ENTRIES_MAX,
    }


def _bubblewrap(
    bubblewrap: str, command: str, workspace: Path, readable: list[str], *, network: bool
) -> list[str]:
    argv = [
        bubblewrap,
        "--unshare-all",
        *(["--share-net"] if network else []),
        "--die-with-parent",
        "--new-session",
    ]
    argv += ["--uid", "1000", "--gid", "1000", "--hostname", "workspace", "--cap-drop", "ALL"]
    for path in map(Path, readable):
        if path.is_symlink() and path.parent == Path("/"):
            argv += ["--symlink", str(path.readlink()), str(path)]
        else:
            argv += ["--ro-bind-try", str(path), str(path)]
    argv += ["--proc", "/proc", "--dev", "/dev", "--size", str(64 * MIB), "--tmpfs", "/tmp"]
    argv += [
        "--bind",
        str(workspace),
        "/workspace",
        "--remount-ro",
        "/proc",
        "--remount-ro",
        "/dev",
        "--remount-ro",
        "/",
        "--chdir",
        "/workspace",
    ]
    limited = f'ulimit -u {PROCESSES_MAX} && exec /bin/bash -c "$0"'
    return [*argv, "--", "/bin/bash", "-c", limited, command]
