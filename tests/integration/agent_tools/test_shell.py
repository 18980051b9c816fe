"""Commands in a jail of real namespaces."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from ksl.agent.tool_set import ToolError
from ksl.agent.tools import shell
from ksl.agent.tools.shell import PROCESSES_MAX, ShellTools
from ksl.define.sandbox import MIB, Sandbox

from tests.integration.agent_tools.places import Calls

_CAN = (
    shutil.which("unshare") is not None
    and subprocess.run(
        ["unshare", "--user", "--mount", "--pid", "--fork", "true"], capture_output=True
    ).returncode
    == 0
)
needs_namespaces = pytest.mark.skipif(not _CAN, reason="this machine allows no namespaces")
pytestmark = [pytest.mark.process, needs_namespaces]


@pytest.fixture
def call(tmp_path: Path) -> Calls:
    return _calls(tmp_path)


def _calls(
    folder: Path, *, timeout_s: float = 60, set_bytes_max: int = 64 * MIB, network: bool = False
) -> Calls:
    sandbox = Sandbox(
        "desk",
        shell=True,
        shell_timeout_s=timeout_s,
        file_bytes_max=MIB,
        set_bytes_max=set_bytes_max,
        network=network,
    )
    return Calls(ShellTools(sandbox), folder)


def _seconds() -> str:
    """A time to sleep that no other test sleeps, by which its processes are found."""
    return f"9{uuid.uuid4().int % 10**8}"


def _alive(marker: str) -> bool:
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if marker.encode() in each.read_bytes().split(b"\0"):
                return True
        except OSError:
            continue
    return False


async def _until(alive: bool, marker: str) -> None:
    async with asyncio.timeout(60):
        while _alive(marker) is not alive:
            await asyncio.sleep(0.01)


async def test_a_command_works_in_the_workspace_and_its_files_stay(call: Calls, tmp_path: Path) -> None:
    assert (
        await call("bash", command="pwd; echo hello > a.txt; cat a.txt") == "/workspace\nhello\n[exit code 0]"
    )
    assert (tmp_path / ".ksl" / "workspaces" / "desk" / "a.txt").read_text() == "hello\n"
    assert (
        await call("bash", command="cat a.txt | tr a-z A-Z; echo bad >&2; exit 3")
        == "HELLO\nbad\n[exit code 3]"
    )


async def test_files_outside_cannot_be_seen(call: Calls, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("a secret")
    (tmp_path / ".ksl" / "workspaces" / "other").mkdir(parents=True)
    here = Path(__file__)
    for path in (
        secret,
        f"../../../{secret.name}",
        "../other",
        here,
        Path.home(),
        "/etc/shadow",
        "/etc/passwd",
        "/sys",
    ):
        told = await call("bash", command=f"cat {path} || ls {path}")
        assert "No such file or directory" in told
        assert "[exit code 0]" not in told
    await call("bash", command=f"ln -s {secret} link")
    assert "No such file or directory" in await call("bash", command="cat link")


async def test_the_system_cannot_be_written(call: Calls) -> None:
    for path in ("/usr/x", "/etc/x", "/x", "/dev/x", "/proc/sys/kernel/pid_max"):
        told = await call("bash", command=f"echo 1 > {path}")
        assert "[exit code 1]" in told
        assert "Read-only" in told or "Permission denied" in told


async def test_the_environment_holds_nothing_of_the_servers(
    call: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    told = await call("bash", command="env; cat /proc/*/environ | tr '\\0' '\\n'")
    assert "HOME=/workspace" in told
    assert "sk-very-secret" not in told
    assert "OPENAI" not in told


async def test_no_process_of_the_machine_is_seen_or_killed(call: Calls) -> None:
    told = await call("bash", command=f"kill -9 {os.getpid()}; ls -d /proc/[0-9]* | wc -l")
    assert "No such process" in told
    assert int(told.split("\n")[-2]) < 10


async def test_there_is_no_network(call: Calls) -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello\n")
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        command = f"read -r line < /dev/tcp/127.0.0.1/{port} && echo $line"
        assert "Connection refused" in await call("bash", command=command)


async def test_the_network_is_there_when_it_is_allowed(tmp_path: Path) -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello\n")
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        command = f"read -r line < /dev/tcp/127.0.0.1/{port} && echo $line"
        assert await _calls(tmp_path, network=True)("bash", command=command) == "hello\n[exit code 0]"


async def test_it_has_no_privileges_and_gets_none(call: Calls) -> None:
    told = await call(
        "bash", command="id -u; grep -E '^(CapEff|CapPrm|NoNewPrivs)' /proc/self/status; unshare -Ur true"
    )
    assert told.startswith("1000\n")
    assert "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\n" in told
    # Of its own, or with bubblewrap no uid_map that it could write.
    assert "unshare failed" in told or "unshare: cannot open /proc/self/uid_map" in told
    assert "must be superuser" in await call("bash", command="mount -t tmpfs none /tmp")


async def test_a_fork_bomb_is_bounded_and_leaves_nothing(tmp_path: Path) -> None:
    marker = _seconds()
    told = await _calls(tmp_path, timeout_s=3)(
        "bash", command=f"bomb() {{ sleep {marker} & bomb | bomb & }}; bomb; wait"
    )
    assert "[stopped: " in told or "Resource temporarily unavailable" in told
    assert not _alive(marker)


async def test_more_processes_than_allowed_are_not_had(call: Calls) -> None:
    program = "import os, time\nfor n in range(1000):\n    if os.fork() == 0: time.sleep(1000)\nprint('all')"
    (call.folder / ".ksl" / "workspaces" / "desk").mkdir(parents=True)
    (call.folder / ".ksl" / "workspaces" / "desk" / "many.py").write_text(program)
    told = await call("bash", command="python3 many.py")
    assert f"more than {PROCESSES_MAX} processes" in told or "BlockingIOError" in told
    assert "all" not in told.split()


async def test_ten_gigabytes_are_not_written_to_a_file(call: Calls, tmp_path: Path) -> None:
    told = await call("bash", command="dd if=/dev/zero of=big bs=1M count=10240; stat -c %s big")
    assert "File size limit exceeded" in told
    assert (tmp_path / ".ksl" / "workspaces" / "desk" / "big").stat().st_size == MIB


async def test_ten_gigabytes_are_not_written_to_many_files(tmp_path: Path) -> None:
    call = _calls(tmp_path, set_bytes_max=8 * MIB)
    told = await call(
        "bash", command="for n in $(seq 10240); do head -c 1M /dev/zero > f$n; sleep 0.01; done"
    )
    assert "[stopped: the workspace holds more than it may" in told
    files = list((tmp_path / ".ksl" / "workspaces" / "desk").iterdir())
    assert 8 <= len(files) < 10240


async def test_memory_is_bounded_for_one_process(call: Calls) -> None:
    told = await call("bash", command="python3 -c 'bytearray(3 * 1024**3)'")
    assert "MemoryError" in told


async def test_memory_is_bounded_for_all_together(call: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell, "MEMORY_BYTES_MAX", 200 * MIB)
    program = 'import time; kept = bytearray(b"x" * 60_000_000); time.sleep(1000)'
    told = await call("bash", command=f"for n in 1 2 3 4 5; do python3 -c '{program}' & done; wait")
    assert "[stopped: it used more than 200 MiB of memory]" in told


async def test_it_ends_in_time_and_everything_it_started_with_it(tmp_path: Path) -> None:
    marker = _seconds()
    told = await _calls(tmp_path, timeout_s=1)(
        "bash", command=f"echo begun; setsid nohup sleep {marker} & trap '' TERM INT HUP; sleep {marker}"
    )
    assert told == "begun\n[stopped: it ran longer than it may: 1 s]"
    assert not _alive(marker)


async def test_what_is_left_in_the_background_ends_with_the_command(call: Calls) -> None:
    marker = _seconds()
    assert await call("bash", command=f"setsid sleep {marker} & echo done") == "done\n[exit code 0]"
    assert not _alive(marker)


async def test_output_is_bounded_and_shows_its_beginning_and_its_end(call: Calls) -> None:
    told = await call("bash", command="echo first; head -c 1000000 /dev/zero | tr '\\0' x; echo; echo last")
    assert told.startswith("first\nxxx")
    assert told.endswith("xxx\nlast\n[exit code 0]")
    assert "bytes left out]" in told
    assert len(told) < 31_000
    assert "[stopped: it wrote more than 16 MiB of output]" in await call("bash", command="yes")


async def test_output_that_is_no_text_is_made_some(call: Calls) -> None:
    assert await call("bash", command="printf 'a\\xff\\0b'") == "a��b\n[exit code 0]"


async def test_a_cancelled_call_leaves_nothing_running(call: Calls) -> None:
    marker = _seconds()
    calling = asyncio.create_task(call("bash", command=f"sleep {marker}"))
    await _until(True, marker)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    await _until(False, marker)


async def test_a_killed_server_takes_its_commands_along(tmp_path: Path) -> None:
    marker = _seconds()
    program = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom tests.integration.agent_tools import test_shell\n"
        "calls = test_shell._calls(Path(sys.argv[1]), timeout_s=600)\n"
        "asyncio.run(calls('bash', command=sys.argv[2]))\n"
    )
    server = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path), f"sleep {marker} & sleep {marker}"]
    )
    try:
        await _until(True, f"sleep {marker} & sleep {marker}")
        await _until(True, marker)
    finally:
        server.send_signal(signal.SIGKILL)
        server.wait()
    await _until(False, marker)


async def test_closing_ends_what_runs(call: Calls) -> None:
    marker = _seconds()
    calling = asyncio.create_task(call("bash", command=f"sleep {marker}"))
    await _until(True, marker)
    await call.tools.close()
    assert "[stopped:" in await calling
    await _until(False, marker)


async def test_where_nothing_can_be_contained_nothing_is_run(
    tmp_path: Path, call: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    jail = Path(shell.__file__).with_name("jail.py").read_text()
    other = tmp_path / "jail.py"
    # As on a machine that has no such namespaces.
    other.write_text(jail.replace("NEWUSER, NEWPID, NEWNET = 0x10000000", "NEWUSER, NEWPID, NEWNET = -1"))
    monkeypatch.setattr(shell, "_JAIL", other)
    monkeypatch.setenv("PATH", "/nowhere")  # and no bubblewrap
    with pytest.raises(ToolError, match=r"could not be contained.*Nothing was run"):
        await call("bash", command="touch it-ran")
    assert not list((tmp_path / ".ksl" / "workspaces" / "desk").iterdir())
