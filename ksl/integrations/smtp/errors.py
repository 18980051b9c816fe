"""How sending fails, by what may be done about it."""

from __future__ import annotations

from ksl import FatalError


class MailError(Exception):
    """A mail that no server has taken."""


class MailUnavailable(MailError):
    """The same mail may be taken later: no connection, or the server says so (4xx)."""


class MailRefused(FatalError, MailError):
    """The same mail would be refused again: it cannot be written, or the server says so (5xx)."""
