"""The filter of runs as people type it: `state:failed,retrying workflow:order took:>5s "o-118"`.

One grammar for the CLI, HTTP, the TUI and the console. Words are joined by "and", values within one by "or", and a
leading minus asks for the opposite. What has no key is looked for in the run's input and in its id.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from ksl.define.duration import parse_duration
from ksl.errors import BadRequest
from ksl.records import RunFilter, RunStatus, RunTerm
from ksl.records.run_term import TermKey
from ksl.views.times import moment_or_ago

STATES = (*(status.value for status in RunStatus), "retrying")
TRIGGERS = ("api", "cron", "webhook", "poll", "agent", "retry")

KEYS: dict[str, str] = {
    "id": "a run's whole id; several with commas",
    "state": f"{', '.join(STATES)}",
    "workflow": "a workflow's slug",
    "trigger": f"how it started: {', '.join(TRIGGERS)}",
    "since": 'created since: "2h" back from now, or a moment like 2026-11-21T12:00:00Z',
    "until": "created until then, said in the same way",
    "took": "how long it ran: >5s, <1m",
    "step": "a step that it reached, by what is called (charge-card) or by id (charge-card#1)",
    "error": "text in the error that it failed with or is held for",
    "version": "the beginning of the version of its code",
    "subscriber": "whom it runs for",
}

_WORD = re.compile(r'(?P<minus>-)?(?:(?P<key>[A-Za-z_]+):)?(?P<value>(?:"[^"]*"|[^\s"])*)(?P<open>"?)')


class BadQuery(BadRequest):
    """A filter that cannot be read: `start` and `end` say which characters of it are wrong."""

    def __init__(self, message: str, *, start: int = 0, end: int = 0) -> None:
        super().__init__(message)
        self.start = start
        self.end = end


@dataclass(frozen=True)
class _Word:
    negated: bool
    key: str | None
    value: str
    start: int
    end: int

    def wrong(self, why: str) -> BadQuery:
        return BadQuery(f"Filter, character {self.start + 1}: {why}", start=self.start, end=self.end)


def run_query(text: str, *, now_ms: int) -> RunFilter:
    """Errors: BadQuery."""
    terms: list[RunTerm] = []
    statuses: tuple[RunStatus, ...] = ()
    since_ms: int | None = None
    for word in _words(text):
        if word.key == "since" and not word.negated:
            moment = _moment(word, now_ms)
            since_ms = moment if since_ms is None else max(since_ms, moment)
        elif word.key == "state":
            states = _known(word, STATES)
            if word.negated or statuses or "retrying" in states:
                terms.append(RunTerm("state", tuple(states), word.negated))
            else:
                # Said in the way that the log has an index for.
                statuses = tuple(RunStatus(state) for state in states)
        else:
            terms.append(_term(word, now_ms))
    return RunFilter(statuses=statuses, since_ms=since_ms, terms=tuple(terms))


def _words(text: str) -> Iterator[_Word]:
    place = 0
    while place < len(text):
        if text[place].isspace():
            place += 1
            continue
        found = _WORD.match(text, place)
        assert found is not None
        key = found["key"].lower() if found["key"] else None
        end = len(text) if found["open"] else found.end()
        word = _Word(bool(found["minus"]), key, found["value"], place, end)
        if found["open"]:
            raise word.wrong('a quotation mark is opened and not closed. Close it with another ".')
        if key is not None and key not in KEYS:
            raise word.wrong(_no_such(key))
        if not word.value.strip('"'):
            raise word.wrong(f"{key or 'the minus'} is given nothing to look for.")
        yield word
        place = found.end()


def _no_such(key: str) -> str:
    if key == "tag":
        return (
            f"runs have no tags. There are {', '.join(KEYS)}; put quotation marks around text with a colon."
        )
    near = get_close_matches(key, KEYS, n=1, cutoff=0.5)
    meant = f' Did you mean "{near[0]}:"?' if near else ""
    return (
        f'there is no filter "{key}:".{meant} There are {", ".join(KEYS)}; '
        "put quotation marks around text with a colon."
    )


def _term(word: _Word, now_ms: int) -> RunTerm:
    if word.key is None:
        return RunTerm("text", (word.value.replace('"', ""),), word.negated)
    return _TERMS[word.key](word, now_ms)


def _trigger(word: _Word, now_ms: int) -> RunTerm:
    return RunTerm("trigger", tuple(_known(word, TRIGGERS)), word.negated)


def _plain(key: TermKey) -> Callable[[_Word, int], RunTerm]:
    return lambda word, now_ms: RunTerm(key, tuple(_values(word)), word.negated)


def _since(word: _Word, now_ms: int) -> RunTerm:
    # Only said with a minus: not since then is until just before then.
    return RunTerm("until", (_moment(word, now_ms) - 1,))


def _until(word: _Word, now_ms: int) -> RunTerm:
    return RunTerm("until", (_moment(word, now_ms),), word.negated)


def _took(word: _Word, now_ms: int) -> RunTerm:
    sign, length = word.value[:1], word.value[1:].lstrip("=")
    if sign not in ("<", ">"):
        raise word.wrong(
            f"took compares with a stretch of time: took:>5s or took:<1m, not took:{word.value}."
        )
    try:
        length_ms = round(parse_duration(length) * 1000)
    except ValueError as error:
        raise word.wrong(f"took: {error}.") from None
    return RunTerm("longer" if sign == ">" else "shorter", (length_ms,), word.negated, now_ms)


_TERMS: dict[str, Callable[[_Word, int], RunTerm]] = {
    "id": _plain("id"),
    "workflow": _plain("workflow"),
    "trigger": _trigger,
    "since": _since,
    "until": _until,
    "took": _took,
    "step": _plain("step"),
    "error": _plain("error"),
    "version": _plain("version"),
    "subscriber": _plain("subscriber"),
}


def _values(word: _Word) -> list[str]:
    """At commas, but for those between quotation marks."""
    parts = re.findall(r'(?:"[^"]*"|[^,"])+', word.value)
    return [value for part in parts if (value := part.replace('"', "").strip())]


def _known(word: _Word, known: tuple[str, ...]) -> list[str]:
    values = [value.lower() for value in _values(word)]
    for value in values:
        if value not in known:
            near = get_close_matches(value, known, n=1)
            meant = f' Did you mean "{near[0]}"?' if near else ""
            raise word.wrong(f'there is no {word.key} "{value}".{meant} There are {", ".join(known)}.')
    return values


def _moment(word: _Word, now_ms: int) -> int:
    try:
        return moment_or_ago(word.value.replace('"', ""), now_ms)
    except ValueError as error:
        raise word.wrong(f"{word.key}: {error}.") from None
