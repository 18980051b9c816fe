"""Hook tokens are derived, and outlive restarts and rotation."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from ksl.engine.tokens import TokenKeys, token_hash
from ksl.errors import StoreUnopenable


def test_the_same_place_gives_the_same_token_and_another_place_another() -> None:
    keys = TokenKeys.for_tests()
    token = keys.token("run_1", "hook#0")
    assert token == keys.token("run_1", "hook#0")
    assert len({token, keys.token("run_1", "hook#1"), keys.token("run_2", "hook#0")}) == 3
    assert len(token) == 43
    assert len(token_hash(token)) == 32


def test_the_key_file_is_made_once_for_its_owner_only_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    token = TokenKeys.open(path).token("r", "hook#0")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert TokenKeys.open(path).token("r", "hook#0") == token
    assert token not in path.read_text()


def test_a_key_that_is_added_leaves_the_tokens_that_are_out(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    first = TokenKeys.open(path)
    token = first.token("r", "hook#0")
    with path.open("a") as file:
        file.write(json.dumps({"id": "newer", "key": "AAAA"}) + "\n")
    both = TokenKeys.open(path)
    assert both.newest == "newer"
    assert both.token("r", "hook#0", key_id=first.newest) == token
    assert both.token("r", "hook#0") != token


def test_a_key_file_that_cannot_be_read_says_what_that_means(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("not json\n")
    with pytest.raises(StoreUnopenable, match="links"):
        TokenKeys.open(path)
