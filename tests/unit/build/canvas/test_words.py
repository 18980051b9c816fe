from __future__ import annotations

import pytest

from ksl.build.canvas.blocks import Input, Range, Wait
from ksl.build.canvas.fitting import cut, wrapped
from ksl.build.canvas.glyphs import cells
from ksl.build.canvas.lights import Light
from ksl.build.canvas.words import gist, most_pressing, spoken, told, took

AT = Range(1, 0, 1, 1)


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0 ms"),
        (9, "9 ms"),
        (10, "0.01 s"),
        (210, "0.21 s"),
        (1_400, "1.4 s"),
        (9_990, "10.0 s"),
        (12_300, "12 s"),
        (59_600, "1 min 0 s"),
        (61_000, "1 min 1 s"),
        (7_260_000, "2 h 1 min"),
        (270_000_000, "3 d 3 h"),
    ],
)
def test_a_duration_is_told_in_the_unit_that_suits_it(ms: int, text: str) -> None:
    assert took(ms) == text


def test_a_light_is_told_of() -> None:
    assert told(Light("done", {"done": 1}, 2, "", 0, 1_400)) == "1.4 s, 2 tries"
    assert spoken(Light("done", {"done": 1}, 2, "", 0, 1_400)) == "done in 1.4 s, 2 tries"
    assert told(Light("waiting", {"waiting": 1}, 0, "hook, 46h left", 0, None)) == "hook, 46h left"
    assert (
        spoken(Light("failed", {"failed": 1}, 3, "ConnectionError", 0, 9))
        == "failed, ConnectionError, 3 tries"
    )
    assert told(Light("done", {"failed": 1, "done": 7}, 1, "", 0, 9)) == "7 done, 1 failed"
    assert spoken(Light("pending", {}, 0, "", None, None)) == "pending"


def test_what_presses_most_comes_first() -> None:
    assert most_pressing(["done", "running", "failed", "skipped"]) == "failed"
    assert most_pressing([]) == "pending"


@pytest.mark.parametrize(
    ("wait", "text"),
    [
        (Wait("sleep", "sleep", (Input("", "'3d'"),), AT), "3d"),
        (Wait("sleep", "sleep", (Input("", "input.wait"),), AT), "input.wait"),
        (Wait("hook", "hook", (Input("timeout", "'2d'"), Input("title", "f'Pay {x}?'")), AT), "Pay {x}?"),
        (Wait("hook", "hook", (Input("title", "fields['title']"),), AT), "fields['title']"),
        (Wait("hook", "hook", (), AT), ""),
    ],
)
def test_a_wait_is_told_by_what_it_is_for(wait: Wait, text: str) -> None:
    assert gist(wait) == text


def test_a_text_is_cut_to_what_fits() -> None:
    assert cut("abcdef", 6, cells) == "abcdef"
    assert cut("abcdefg", 6, cells) == "abcde…"
    assert cut("abc defg", 5, cells) == "abc…"
    assert cut("日本語", 4, cells) == "日…"
    assert cells("e\u0301") == 1


def test_a_text_is_wrapped_into_two_lines_of_a_kind() -> None:
    assert wrapped("aa bb cc dd", 8, cells) == ("aa bb", "cc dd")
    assert wrapped("aa bb cc dd ee ff gg", 8, cells) == ("aa bb cc", "dd ee f…")
    assert wrapped("abcdefghijkl", 5, cells) == ("abcde", "fghi…")
    assert wrapped("short", 5, cells) == ("short",)
