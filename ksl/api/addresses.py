"""Which names this server answers for, and which web pages may change its state.

A page of another site reaches a server on this machine through a name of its own that resolves to 127.0.0.1;
the Host header is all that tells it apart. So hosts are a list of exact names, and the list has no wildcard.
"""

from __future__ import annotations

from urllib.parse import urlsplit

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Addresses:
    """`host` is what the server was told to bind, `public_url` how others reach it ("" when not said)."""

    def __init__(self, *, host: str, public_url: str) -> None:
        own = f"[{host}]" if ":" in host and not host.startswith("[") else host
        self._names = tuple(dict.fromkeys((*_LOOPBACK, own.lower())))
        self._public = _public(public_url)

    def answers_for(self, host: str, port: int) -> bool:
        """Whether a Host header names this server, which listens on `port`."""
        return host.lower() in self._own(port) or host.lower() in {name for _, name in self._public}

    def trusts(self, origin: str, port: int) -> bool:
        """Whether an Origin header names a page of this server's own."""
        scheme, _, name = origin.lower().partition("://")
        return (scheme == "http" and name in self._own(port)) or (scheme, name) in self._public

    def _own(self, port: int) -> set[str]:
        with_port = {f"{name}:{port}" for name in self._names}
        # clients leave out the port that their scheme implies
        return with_port | set(self._names) if port == 80 else with_port


def _public(url: str) -> set[tuple[str, str]]:
    if not url:
        return set()
    parts = urlsplit(url.lower())
    name = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    default = _DEFAULT_PORTS.get(parts.scheme)
    port = parts.port or default
    names = {(parts.scheme, f"{name}:{port}")}
    return names | {(parts.scheme, name)} if port == default else names
