"""Takes known secrets out of text: of events, logs, errors and answers.

It costs nothing while no secret is known. Then each form of each secret is looked for; nearly always none is found and
the text stays what it is, the same object.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from typing import Any, cast

from ksl.vault.forms import LENGTH_MIN, forms

__all__ = ["LENGTH_MIN", "Redactor"]


class Redactor:
    """What one process knows. Secrets are learned and never forgotten: a log line may come late."""

    def __init__(self) -> None:
        self._masks: dict[str, str] = {}  # form -> what stands in for it
        self._ordered: list[tuple[str, str]] = []  # longest first
        self._needles: list[bytes] = []
        self._sorted: list[str] = []  # by the alphabet
        self._known: set[str] = set()
        self.active = False  # no property: it is asked for every value

    def learn(self, name: str, secret: str) -> bool:
        """`name`: of the credential, which the mask says. False for one that is too short to be masked."""
        if secret in self._known:
            return True
        if not (written := forms(secret)):
            return False
        self._known.add(secret)
        for form in written:
            self._masks.setdefault(form, f"[redacted:{name}]")
        self.active = True
        return True

    def text(self, text: str) -> str:
        if len(self._ordered) != len(self._masks):
            self._order()
        for form, mask in self._ordered:
            if form in text:
                text = text.replace(form, mask)
        return text

    def whole_length(self, text: str) -> int:
        """How much of the beginning of a text that goes on can be masked by itself: no secret is cut where it ends."""
        if len(self._ordered) != len(self._masks):
            self._order()
        end = len(text)
        longest = len(self._ordered[0][0]) if self._ordered else 0
        for length in range(min(longest - 1, len(text)), 0, -1):
            if self._begins_a_form(text[-length:]):
                end = len(text) - length
                break
        # What is held back may be the end of another secret, which is then held back whole.
        while end and (begin := self._begin_of_form_over(text, end)) is not None:
            end = begin
        return end

    def json(self, data: bytes) -> bytes:
        """JSON text, which stays JSON: a number that holds a secret becomes a string. Other text is masked as such."""
        if not self._found(data):
            return data
        try:
            value: Any = json.loads(data)
        except ValueError:
            return self.text(data.decode("utf-8", "replace")).encode()
        return json.dumps(self.value(value), ensure_ascii=False, separators=(",", ":")).encode(
            "utf-8", "replace"
        )

    def bytes(self, data: bytes) -> bytes:
        """Any text."""
        if not self._found(data):
            return data
        return self.text(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")

    def value(self, value: Any) -> Any:
        """A value of JSON, with what is inside it."""
        match value:
            case str():
                return self.text(value)
            case dict():
                items = cast("dict[str, Any]", value).items()
                return {self.text(key): self.value(inner) for key, inner in items}
            case list():
                return [self.value(inner) for inner in cast("list[Any]", value)]
            case bool() | None:
                return value
            case int() | float():
                masked = self.text(written := json.dumps(value))
                return value if masked == written else masked
            case _:
                return value

    def _begins_a_form(self, text: str) -> bool:
        place = bisect_right(self._sorted, text)
        return place < len(self._sorted) and self._sorted[place].startswith(text)

    def _begin_of_form_over(self, text: str, end: int) -> int | None:
        """Where the first form begins that has `end` inside it."""
        if end == len(text):
            return None
        begins = (
            text.find(form, max(end - len(form) + 1, 0), end + len(form) - 1) for form, _ in self._ordered
        )
        return min((begin for begin in begins if begin >= 0), default=None)

    def _found(self, data: bytes) -> bool:
        if len(self._ordered) != len(self._masks):
            self._order()
        return any(needle in data for needle in self._needles)

    def _order(self) -> None:
        """Not for each secret that is learned: a server that starts learns all that are stored. Threads may do it at
        once, and come to the same."""
        ordered = sorted(self._masks.copy().items(), key=lambda item: (-len(item[0]), item[0]))
        self._needles = [form.encode("utf-8", "surrogatepass") for form, _ in ordered]
        self._sorted = sorted(form for form, _ in ordered)
        self._ordered = ordered
