"""Project files come from their source, each once, and leave nothing behind when they are unloaded."""

from __future__ import annotations

import importlib
import os
import py_compile
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ksl.build.loader import ProjectFinder, require_positions
from ksl.errors import NoColumnPositions


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("workflows", "actions"):
        (tmp_path / folder).mkdir()
    (tmp_path / "actions" / "mail.py").write_text("def send():\n    return 'sent'\n")
    (tmp_path / "workflows" / "order.py").write_text("from actions.mail import send\n")
    return tmp_path


@pytest.fixture
def finder(root: Path) -> Iterator[ProjectFinder]:
    finder = ProjectFinder(root, ["workflows", "actions"])
    finder.install()
    yield finder
    finder.uninstall()


def test_modules_import_one_another_and_exist_once(finder: ProjectFinder) -> None:
    order = importlib.import_module("workflows.order")
    mail = importlib.import_module("actions.mail")
    assert order.send is mail.send
    assert order.send() == "sent"
    assert mail.__file__ == str(finder.root / "actions" / "mail.py")


def test_no_bytecode_is_written(finder: ProjectFinder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    importlib.import_module("workflows.order")
    assert list(finder.root.rglob("*.pyc")) == []


def test_bytecode_that_is_there_is_not_read(finder: ProjectFinder) -> None:
    file = finder.root / "actions" / "mail.py"
    written = file.read_text()
    file.write_text("raise AssertionError('from bytecode')\n")
    py_compile.compile(str(file), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    file.write_text(written)
    assert importlib.import_module("actions.mail").send() == "sent"


def test_code_has_columns_though_bytecode_without_them_lies_beside_it(finder: ProjectFinder) -> None:
    file = finder.root / "actions" / "mail.py"
    subprocess.run([sys.executable, "-X", "no_debug_ranges", "-m", "py_compile", str(file)], check=True)
    assert list(finder.root.rglob("*.pyc"))
    code = importlib.import_module("actions.mail").send.__code__
    assert any(end_col for *_, end_col in code.co_positions())


def test_the_text_kept_is_the_one_that_was_compiled(finder: ProjectFinder) -> None:
    file = finder.root / "actions" / "mail.py"
    mail = importlib.import_module("actions.mail")
    file.write_text("edited = True\n")
    assert finder.sources[str(file)] == "def send():\n    return 'sent'\n"
    again = importlib.reload(mail)
    assert again.edited
    assert finder.sources[str(file)] == "edited = True\n"


def test_a_declared_encoding_is_obeyed(finder: ProjectFinder) -> None:
    (finder.root / "actions" / "old.py").write_bytes("# coding: latin-1\nname = 'é'\n".encode("latin-1"))
    assert importlib.import_module("actions.old").name == "é"


def test_packages_and_nested_folders_work(finder: ProjectFinder) -> None:
    deep = finder.root / "actions" / "shop" / "core"
    deep.mkdir(parents=True)
    (finder.root / "actions" / "shop" / "__init__.py").write_text(
        "from .core.pay import pay\nfrom . import core\n"
    )
    (deep / "pay.py").write_text("from ...mail import send as pay\n")
    shop = importlib.import_module("actions.shop")
    assert shop.pay() == "sent"
    assert shop.core.pay is sys.modules["actions.shop.core.pay"]
    assert shop.__package__ == "actions.shop"


def test_a_folder_may_lie_deeper_than_the_project(root: Path) -> None:
    (root / "src" / "flows").mkdir(parents=True)
    (root / "src" / "flows" / "one.py").write_text("import src.lib\nname = src.lib.name\n")
    (root / "src" / "lib.py").write_text("name = 'lib'\n")
    finder = ProjectFinder(root, ["src/flows"])
    finder.install()
    try:
        assert importlib.import_module("src.flows.one").name == "lib"
    finally:
        finder.uninstall()
    assert not [name for name in sys.modules if name == "src" or name.startswith("src.")]


def test_a_module_that_is_not_there_is_not_found(finder: ProjectFinder) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'actions\.nothing'"):
        importlib.import_module("actions.nothing")


def test_a_package_of_the_same_name_elsewhere_does_not_get_in(
    root: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "actions").mkdir()
    (other / "actions" / "__init__.py").write_text("whose = 'theirs'\n")
    monkeypatch.setattr(sys, "path", [str(other), *sys.path])
    theirs = importlib.import_module("actions")
    finder = ProjectFinder(root, ["workflows", "actions"])
    finder.install()
    try:
        assert importlib.import_module("actions.mail").send() == "sent"
        assert not hasattr(sys.modules["actions"], "whose")
    finally:
        finder.uninstall()
    assert sys.modules.pop("actions") is theirs


def test_uninstalling_leaves_no_trace(root: Path) -> None:
    (root / "lib_for_a_test.py").write_text("")
    (root / "workflows" / "order.py").write_text("import lib_for_a_test\n")
    before = (list(sys.path), list(sys.meta_path), set(sys.modules))
    finder = ProjectFinder(root, ["workflows", "actions"])
    finder.install()
    importlib.import_module("workflows.order")
    assert "lib_for_a_test" in sys.modules
    finder.uninstall()
    finder.uninstall()
    assert (list(sys.path), list(sys.meta_path), set(sys.modules)) == before


def test_the_program_that_runs_from_the_project_folder_keeps_its_modules() -> None:
    import ksl.errors

    finder = ProjectFinder(Path(ksl.errors.__file__).parents[1], ["workflows"])
    finder.install()
    finder.uninstall()
    assert sys.modules["ksl.errors"] is ksl.errors


def test_this_interpreter_has_columns() -> None:
    require_positions()


@pytest.mark.parametrize("how", ["option", "variable"])
def test_an_interpreter_without_columns_is_refused_in_one_sentence(how: str) -> None:
    option, extra = (["-X", "no_debug_ranges"], {}) if how == "option" else ([], {"PYTHONNODEBUGRANGES": "1"})
    code = (
        "from ksl.build.loader import require_positions\n"
        "from ksl.errors import NoColumnPositions\n"
        "try: require_positions()\n"
        "except NoColumnPositions as error: print(error.code, error)\n"
    )
    # Bytecode without columns is not left behind for the tests that come after.
    environment = {**os.environ, **extra, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *option, "-c", code]
    told = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    assert told.startswith(f"{NoColumnPositions.code} this Python leaves column positions out")
    assert told.count("\n") == 1
