"""How a request fails, by what may be done about it."""

from __future__ import annotations

from ksl import FatalError, RetryLater


class HttpError(Exception):
    """A request that has no answer to go on with."""


class HttpUnavailable(HttpError):
    """The same request may succeed later: no connection, no answer in time, or one that says so (5xx, 429)."""


class HttpBusy(RetryLater, HttpError):
    """The service said when to come back (`Retry-After`)."""


class HttpRefused(FatalError, HttpError):
    """The same request would fail again: it cannot be made, or the answer says that it is wrong (4xx)."""


class AddressRefused(HttpRefused):
    """The host's address is not one that may be reached from here. Nothing was sent there."""
