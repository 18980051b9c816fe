"""Files that are hard to read: each gets a clear word, and none takes the build or a server down."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ksl.build.discover import discover, unload
from ksl.build.rules.enforce import enforce

pytestmark = pytest.mark.process

HEAD = (
    "from ksl import Context, action, workflow\n\n\n@action\nasync def NAME_act() -> int:\n    return 1\n\n\n"
)
FLOW = HEAD + "@workflow\nasync def NAME(input: int, ctx: Context) -> int:\n"
LOST = "NAME_act.run()\n    return 1\n"  # KSL003
CALL = "(await NAME_act.run())"


def flow(body: str) -> bytes:
    return (FLOW + body).encode()


# By name: the file's bytes, and what is said of it: line, column (none where it does not load), code, words.
FILES: dict[str, tuple[bytes, tuple[int, int | None, str, str] | None]] = {
    "syntax": (flow("    return (\n"), (11, None, "KSL204", "SyntaxError: '(' was never closed")),
    "nulls": (b"x = 1\x00\n", (1, None, "KSL204", "null bytes")),
    "not_utf8": ("x = 'caf\xe9'\n".encode("latin-1"), (1, None, "KSL204", "encoding")),
    "no_such_coding": (b"# -*- coding: nonsense -*-\n", (1, None, "KSL204", "unknown encoding: nonsense")),
    "declared_latin": (
        b"# -*- coding: latin-1 -*-\n" + (FLOW + "    é = 'é'; " + LOST).encode("latin-1"),
        (12, 14, "KSL003", "NAME-act"),
    ),
    "bom": (b"\xef\xbb\xbf" + flow("    é = 'ü'; " + LOST), (11, 14, "KSL003", "NAME-act")),
    "crlf": (flow("    x = 1; " + LOST).replace(b"\n", b"\r\n"), (11, 12, "KSL003", "NAME-act")),
    "separators": (flow("    x = 1\n\x0c\n    y = '\u2028'; " + LOST), (13, 14, "KSL003", "NAME-act")),
    "astral": (flow("    漢字 = '𝒳𝒴'; " + LOST), (11, 16, "KSL003", "NAME-act")),
    "surrogate": (flow("    x = '\\ud800'; " + LOST), (11, 19, "KSL003", "NAME-act")),
    "uses_exec": (flow(f"    exec('await x')\n    eval('1')\n    x = {CALL}\n    return x\n"), None),
    "long": (flow(f"    if input:\n        x = {CALL}\n" * 1500 + "    " + LOST), (3011, 5, "KSL003", "NAME-act")),
    "deep_sum": (flow(f"    x = {' + '.join(['input'] * 3000)}\n    " + LOST), (1, None, "KSL204", "RecursionError")),
    "deep_steps": (
        flow(f"    x = {' + '.join([CALL] * 2000)}\n    return x\n"),
        (9, None, "KSL204", "nested too deep to be read; divide it into functions"),
    ),
    "deep_elifs": (
        flow("    if input == 0:\n        pass\n" + f"    elif input:\n        x = {CALL}\n" * 1200 + "    return 1\n"),
        (9, None, "KSL204", "nested too deep to be read; divide it into functions"),
    ),
    "deep_brackets": (flow(f"    x = {'(' * 300}1{')' * 300}\n    return 1\n"), (11, None, "KSL204", "parenthes")),
    "huge_text": (flow(f"    x = '{'x' * 2_000_000}'; " + LOST), (11, 2_000_013, "KSL003", "NAME-act")),
    "huge_list": (flow(f"    x = [{'1,' * 100_000}]\n    " + LOST), (12, 5, "KSL003", "NAME-act")),
    "huge_int": (flow(f"    x = {'9' * 5000}\n    return 1\n"), (11, None, "KSL204", "digits")),
    "empty": (b"", None),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ksl.toml").write_text("")
    (tmp_path / "workflows").mkdir()
    for name, (content, _) in FILES.items():
        (tmp_path / "workflows" / f"{name}.py").write_bytes(content.replace(b"NAME", name.encode()))
    (tmp_path / "workflows" / "dangling.py").symlink_to("/nowhere/at/all")
    (tmp_path / "workflows" / "folder.py").mkdir()
    return tmp_path


@pytest.mark.parametrize("form", ["json", "text", "github", "sarif"])
def test_each_gets_a_clear_word_and_the_build_goes_on(folder: Path, form: str) -> None:
    command = [sys.executable, "-m", "ksl", "-C", str(folder), "build", "--format", form]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert len(done.stdout) < 100_000
    if form != "json":
        return
    told = {Path(each["file"]).stem: each for each in json.loads(done.stdout)["errors"]}
    assert set(told) == {name for name, (_, said) in FILES.items() if said} | {"dangling"}
    for name, (_, said) in FILES.items():
        if said is not None:
            line, column, code, words = said
            each = told[name]
            assert (each["line"], each.get("col"), each["code"]) == (line, column, code), name
            assert words.replace("NAME", name.replace("_", "-")) in each["message"], name


def test_what_a_server_does_at_start_is_not_taken_down_either(folder: Path) -> None:
    project = discover(folder)
    try:
        assert {each.code for each in enforce(project)} == {"KSL003"}
        assert "uses-exec" not in project.broken
        assert "long" in project.broken
    finally:
        unload(project)
