from __future__ import annotations

import os
import socket
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.docs.console import Command, File, Shell, Transcript, blocks, poll

PAGE = Path(__file__).parents[2] / "docs" / "getting-started.md"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(url: str) -> bool:
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


@pytest.mark.process
def test_the_page_runs_as_printed(tmp_path: Path) -> None:
    port = free_port()
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "KSL_SERVER_PORT": str(port),
    }
    folder = tmp_path
    transcript = Transcript()
    shell = Shell(folder, environment)
    try:
        for block in blocks(PAGE):
            if isinstance(block, File):
                path = folder / block.path
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.content)
                continue
            printed = shell.run(transcript.command(block.text))
            if block.text.startswith("cd "):
                folder = folder / block.text[3:]
            elif block.text.endswith("&"):
                poll(lambda: answers(f"http://127.0.0.1:{port}/readyz"), lambda: "the server")
            printed = printed.replace(f":{port}", ":7420").replace(str(tmp_path), "/home/ada")
            assert transcript.fits(block.expected, printed), not_as_printed(block, printed)
    finally:
        shell.close()


def not_as_printed(command: Command, printed: str) -> str:
    expected = "\n".join(command.expected)
    return f"{PAGE}:{command.line}: $ {command.text}\nis said to print\n{expected}\nand prints\n{printed}"


def test_a_transcript_keeps_run_ids_apart_and_ignores_times() -> None:
    transcript = Transcript()
    assert transcript.fits(["run_A  took 3s", "run_B", "run_A"], "run_1x took 1.25s\nrun_2\nrun_1x\n")
    assert not transcript.fits(["run_A"], "run_2\n")
    assert not Transcript().fits(["run_A run_A"], "run_1 run_2\n")
    assert transcript.command("ksl runs show run_B") == "ksl runs show run_2"


def test_dots_in_a_transcript_stand_for_any_text() -> None:
    assert Transcript().fits(["a", "...", "b ... d"], "a\nx\ny\nb c d\n")
    assert Transcript().fits(["a", "...", "b"], "a\nb\n")
    assert not Transcript().fits(["a", "b ... d"], "a\nb c\n")
