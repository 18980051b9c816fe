"""One use of a hook's link, and how often it was used in all."""

from __future__ import annotations

import msgspec


class LinkVisit(msgspec.Struct, frozen=True):
    """The link itself is not in it: whoever reads this must not be able to answer."""

    run_id: str
    step: str  # of the hook
    at_ms: int
    method: str
    status: int  # what it was answered with
    answered: bool = False  # by this the hook got its answer
    address: str = ""
    agent: str = ""


class LinkUse(msgspec.Struct, frozen=True):
    """Of the link of one hook. `visits` are those kept, oldest first."""

    run_id: str
    step: str
    looked: int  # by HEAD and OPTIONS
    opened: int  # by GET
    sent: int  # by POST
    answered: int
    visits: tuple[LinkVisit, ...] = ()
