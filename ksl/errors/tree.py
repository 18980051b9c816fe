"""The root of the tree, and the four kinds of error: what to do about it.

The code says where an error arose (families: KSL0xx and KSL1xx build rules, KSL2xx configuration and
discovery, KSL3xx triggers, KSL4xx engine and replay, KSL5xx store, KSL6xx CLI, HTTP and TUI, KSL7xx
credentials, KSL8xx models and agents). The base class says what to do about it:

- `FixCode`: an author's code must change.
- `FixRequest`: whoever asked must ask differently (an input, a flag, a setting).
- `TryAgain`: nothing is wrong with the request; the same one may succeed later.
- `AskPerson`: somebody must look at the machine or at the run.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "AskPerson",
    "FixCode",
    "FixRequest",
    "KslError",
    "TryAgain",
]


class KslError(Exception):
    """Anything ksl itself has to say. `str()` is the whole message, without the code."""

    code: ClassVar[str] = "KSL000"

    @property
    def message(self) -> str:
        return str(self)

    @property
    def more(self) -> str:
        """Where to read more."""
        return f"`ksl explain {self.code}` says more."

    def explain(self) -> str:
        """The paragraph shown to a person: code, message, where to read more."""
        return f"{self.code} {self}\n{self.more}"


class FixCode(KslError):
    """An author's code must change before this can work."""


class FixRequest(KslError):
    """The request, input or setting must change before this can work."""


class TryAgain(KslError):
    """The same request may succeed later."""


class AskPerson(KslError):
    """A person must look at the machine or at the run."""
