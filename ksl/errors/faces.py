"""KSL6xx: the command line, HTTP and the screens."""

from __future__ import annotations

from ksl.errors.tree import FixRequest, TryAgain

__all__ = [
    "BadJson",
    "BadMediaType",
    "BadRequest",
    "BodyTooLarge",
    "HostRefused",
    "NotFound",
    "OriginRefused",
    "PortInUse",
    "ServerUnreachable",
    "ShuttingDown",
    "Unauthorised",
    "UnknownCanvas",
]


class Unauthorised(FixRequest):
    """The request carries no valid bearer token."""

    code = "KSL600"


class HostRefused(FixRequest):
    """The Host header names a host this server does not answer for."""

    code = "KSL601"


class OriginRefused(FixRequest):
    """A state-changing request came from a foreign web page."""

    code = "KSL602"


class BodyTooLarge(FixRequest):
    """The request body is larger than `limits.body`."""

    code = "KSL603"


class BadJson(FixRequest):
    """The text is not strict JSON (RFC 8259)."""

    code = "KSL604"


class NotFound(FixRequest):
    """Nothing is at this address."""

    code = "KSL605"


class ServerUnreachable(TryAgain):
    """No server answers at the address."""

    code = "KSL606"


class PortInUse(FixRequest):
    """Another program listens on the port."""

    code = "KSL607"


class BadMediaType(FixRequest):
    """The body's content type is not one that this address takes."""

    code = "KSL608"


class BadRequest(FixRequest):
    """A parameter, header or flag has a value that cannot be used."""

    code = "KSL609"


class ShuttingDown(TryAgain):
    """The server is stopping and takes no new work."""

    code = "KSL610"


class UnknownCanvas(FixRequest):
    """The canvas of the code that a run was started with was not kept."""

    code = "KSL611"
