"""What is told of a text that comes in pieces: all of it, each part once, and no secret however it is cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ksl.runtime.speech import TEXT_MAX, Speech
from ksl.vault.redactor import Redactor

SECRETS = {"shop": "abcab1", "mail": "abcab1cd9", "bank": "b1cd-abcab"}


def speech() -> Speech:
    return Speech(Redactor(), lambda: 1_750_000_000_000)


@given(
    st.lists(st.sampled_from([*SECRETS.values(), "abc", "ab1", "cd", "b1", "-", " "]), max_size=8),
    st.lists(st.integers(1, 5), min_size=1, max_size=30),
    st.lists(st.booleans(), min_size=1, max_size=30),
)
def test_pieces_are_masked_as_the_whole_is(parts: list[str], lengths: list[int], reads: list[bool]) -> None:
    made, whole = speech(), "".join(parts)
    for name, secret in SECRETS.items():
        made.redactor.learn(name, secret)
    told = ""
    with made.listening() as listener, made.telling("run_1", "turn#0", None, 1) as utterance:
        rest, number = whole, 0
        while rest:
            length = lengths[number % len(lengths)]
            utterance.add(rest[:length])
            rest = rest[length:]
            if reads[number % len(reads)]:
                told += "".join(each["delta"] for each in listener.news())
            number += 1
        utterance.add(".")  # nothing is held back any more
        told += "".join(each["delta"] for each in listener.news())
    assert told == made.redactor.text(f"{whole}.")


def test_each_listener_gets_each_part_once_and_a_late_one_what_there_is() -> None:
    made = speech()
    with made.listening("run_1") as early, made.telling("run_1", "turn#0", "ses_1", 1) as utterance:
        assert [(each["offset"], each["delta"]) for each in early.news()] == [(0, "")]
        utterance.add("Hello")
        assert [(each["offset"], each["delta"]) for each in early.news()] == [(0, "Hello")]
        utterance.add(", you")
        with made.listening() as late:
            assert late.heard.is_set()
            assert [(each["offset"], each["delta"]) for each in late.news()] == [(0, "Hello, you")]
        assert [(each["offset"], each["delta"]) for each in early.news()] == [(5, ", you")]
        assert early.news() == []


def test_another_attempt_begins_anew() -> None:
    made = speech()
    with made.listening("run_1") as listener:
        with made.telling("run_1", "turn#0", None, 1) as utterance:
            utterance.add("Hel")
            listener.news()
        with made.telling("run_1", "turn#0", None, 2) as utterance:
            utterance.add("Hi")
            assert [(each["attempt"], each["offset"], each["delta"]) for each in listener.news()] == [
                (2, 0, "Hi")
            ]
    assert made.of(None) == []


def test_what_is_kept_is_bounded() -> None:
    made = speech()
    with made.telling("run_1", "turn#0", None, 1) as utterance:
        for _ in range(30):
            utterance.add("x" * (TEXT_MAX // 20))
        assert len(utterance.text) == TEXT_MAX
