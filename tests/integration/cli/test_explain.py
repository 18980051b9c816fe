"""The pages of errors, from the sources and from what is installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
from click.testing import CliRunner

from ksl.build.rules.pages import pages
from ksl.cli.app import cli
from ksl.cli.invocation import Invocation

ROOT = Path(__file__).parents[3]
OF_ERRORS = sorted((ROOT / "docs" / "errors").glob("KSL*.md"))


def test_the_page_of_each_error_and_each_rule_is_printed() -> None:
    for page in OF_ERRORS:
        told = json.loads(CliRunner().invoke(cli, ["explain", page.stem]).stdout)
        assert told["page"] == page.read_text(encoding="utf-8")
        assert told["title"]
    of_errors = {page.stem for page in OF_ERRORS}
    for name, text in pages().items():
        code = name.removesuffix(".md")
        if code.startswith("KSL") and code not in of_errors:
            assert json.loads(CliRunner().invoke(cli, ["explain", code]).stdout)["page"] == text


def test_on_a_terminal_it_is_text_without_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Invocation, "prints_json", False)
    done = CliRunner().invoke(cli, ["explain", "402"])
    assert done.stdout.startswith("# KSL402 InputDrift\n")
    assert "Living with code changes says more." in done.stdout


def test_a_code_that_is_none_comes_with_those_like_it() -> None:
    done = CliRunner().invoke(cli, ["explain", "ksl499"])
    assert done.exit_code == 2
    assert "KSL402" in done.stderr
    assert "KSL501" not in done.stderr


@pytest.mark.slow
def test_what_is_installed_has_the_pages(tmp_path: Path) -> None:
    """A wheel of a copy, as building leaves files behind; installed beside nothing of the sources."""
    source, installed = tmp_path / "source", tmp_path / "installed"
    shutil.copytree(ROOT / "ksl", source / "ksl", symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "docs" / "errors", source / "docs" / "errors")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    alone = ["--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "wheel", *alone, "--wheel-dir", tmp_path, source], check=True, cwd=tmp_path)
    (wheel,) = tmp_path.glob("ksl-*.whl")
    inside = {Path(name).stem for name in ZipFile(wheel).namelist() if name.startswith("ksl/errors/pages/")}
    assert {page.stem for page in OF_ERRORS} <= inside

    subprocess.run([*pip, "install", *alone, "--target", installed, wheel], check=True, cwd=tmp_path)
    shutil.rmtree(source)
    command = "import ksl, sys; print(ksl.__file__, file=sys.stderr); from ksl.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", command, "explain", "KSL402"],
        env=os.environ | {"PYTHONPATH": str(installed)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(installed) in done.stderr
    assert json.loads(done.stdout)["title"] == "InputDrift"
