"""Plays a page: writes its files, types its commands, and compares what they print with what it says."""

from __future__ import annotations

import os
import socket
import sys
import urllib.error
import urllib.request
from pathlib import Path

from tests.docs.console import Command, File, Shell, Transcript, blocks, poll


def play(page: Path, folder: Path) -> None:
    """In `folder`, which a page may leave by `cd`. Every server started with `&` is waited for."""
    home, port, transcript = folder, free_port(), Transcript()
    shell = Shell(folder, environment(home, port))
    try:
        for block in blocks(page):
            if isinstance(block, File):
                write(folder, block)
                continue
            printed = shell.run(transcript.command(block.text))
            if block.text.startswith("cd "):
                folder = folder / block.text[3:]
            elif block.text.endswith("&"):
                poll(lambda: answers(f"http://127.0.0.1:{port}/readyz"), lambda: "the server")
            printed = printed.replace(f":{port}", ":7420").replace(str(home), "/home/ada")
            assert transcript.fits(block.expected, printed), not_as_printed(page, block, printed)
    finally:
        shell.close()


def environment(home: Path, port: int) -> dict[str, str]:
    return {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "KSL_SERVER_PORT": str(port),
    }


def write(folder: Path, file: File) -> None:
    path = folder / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(file.content)


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


def not_as_printed(page: Path, command: Command, printed: str) -> str:
    expected = "\n".join(command.expected)
    return f"{page}:{command.line}: $ {command.text}\nis said to print\n{expected}\nand prints\n{printed}"
