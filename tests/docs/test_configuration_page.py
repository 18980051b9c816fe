from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ksl.build.config import Settings, load_settings
from ksl.build.settings_values import READERS, as_typed

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "configuration.md"
ROW = re.compile(r"^\| `([a-z_]+)\.([a-z_]+)` \| `([A-Z_]+)` \| ([^|]+) \|", re.MULTILINE)
KEYS = [(section, key) for section, keys in READERS.items() for key in keys]


def rows() -> list[tuple[str, str, str, str]]:
    return ROW.findall(PAGE.read_text(encoding="utf-8"))


def defaults(folder: Path) -> Settings:
    (folder / "ksl.toml").touch()
    return load_settings(folder)


def test_every_setting_is_on_the_page_in_the_order_of_the_code() -> None:
    assert [(section, key) for section, key, _, _ in rows()] == KEYS


def test_the_variables_on_the_page_are_the_ones_that_are_read() -> None:
    for section, key, variable, _ in rows():
        assert variable == f"KSL_{section}_{key}".upper()


def test_the_defaults_on_the_page_are_those_of_an_empty_file(tmp_path: Path) -> None:
    settings = defaults(tmp_path)
    for section, key, _, shown in rows():
        real: Any = getattr(getattr(settings, section), key)
        if shown == "the folder's name":
            assert real == tmp_path.name
        elif shown == "empty":
            assert real == ""
        else:
            read = READERS[section][key]
            expected = read(as_typed(read, shown.strip("`")))
            assert real == (tmp_path / expected if isinstance(expected, Path) else expected)


def test_the_file_on_the_page_is_accepted(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "ksl.toml").write_text(example)
    settings = load_settings(tmp_path)
    assert settings.server.port == 8000
    assert settings.store.path == Path("/var/lib/flows/ksl.db")


def test_every_other_variable_that_is_read_is_told_of() -> None:
    read: set[str] = set()
    for source in (PAGE.parents[2] / "ksl").rglob("*.py"):
        read |= set(re.findall(r"environ(?:\.get\(|\[)\"(KSL_[A-Z_]+)\"", source.read_text(encoding="utf-8")))
    _, _, section = PAGE.read_text(encoding="utf-8").partition("## Variables that are not settings")
    assert set(re.findall(r"^\| `(KSL_[A-Z_]+)` \|", section, re.MULTILINE)) == read
