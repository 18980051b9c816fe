from __future__ import annotations

import pytest

from ksl.api.addresses import Addresses

PLAIN = Addresses(host="127.0.0.1", public_url="")
PUBLIC = Addresses(host="0.0.0.0", public_url="https://ksl.example.com")
ODD_PORT = Addresses(host="192.168.1.5", public_url="http://ksl.example.com:8080/ksl")


@pytest.mark.parametrize(
    ("addresses", "host"),
    [
        (PLAIN, "127.0.0.1:7420"),
        (PLAIN, "localhost:7420"),
        (PLAIN, "LOCALHOST:7420"),
        (PLAIN, "[::1]:7420"),
        (PUBLIC, "ksl.example.com"),
        (PUBLIC, "ksl.example.com:443"),
        (ODD_PORT, "192.168.1.5:7420"),
        (ODD_PORT, "ksl.example.com:8080"),
    ],
)
def test_a_name_of_this_server_is_answered(addresses: Addresses, host: str) -> None:
    assert addresses.answers_for(host, 7420)


@pytest.mark.parametrize(
    ("addresses", "host"),
    [
        (PLAIN, ""),
        (PLAIN, "localhost"),
        (PLAIN, "localhost:7421"),
        (PLAIN, "localhost.evil.example:7420"),
        (PLAIN, "evil.example:7420"),
        (PLAIN, "evil.example"),
        (PLAIN, "127.0.0.1:7420@evil.example"),
        (PLAIN, "0.0.0.0:7420"),
        (PUBLIC, "ksl.example.com:7420"),
        (PUBLIC, "www.ksl.example.com"),
        (ODD_PORT, "ksl.example.com"),
    ],
)
def test_any_other_name_is_not(addresses: Addresses, host: str) -> None:
    assert not addresses.answers_for(host, 7420)


def test_on_port_80_clients_leave_the_port_out() -> None:
    assert PLAIN.answers_for("localhost", 80)


@pytest.mark.parametrize(
    ("addresses", "origin", "trusted"),
    [
        (PLAIN, "http://localhost:7420", True),
        (PLAIN, "http://127.0.0.1:7420", True),
        (PLAIN, "https://localhost:7420", False),
        (PLAIN, "http://localhost:3000", False),
        (PLAIN, "http://evil.example", False),
        (PLAIN, "null", False),
        (PLAIN, "", False),
        (PUBLIC, "https://ksl.example.com", True),
        (PUBLIC, "http://ksl.example.com", False),
        (PUBLIC, "https://evil.example", False),
    ],
)
def test_only_pages_of_this_server_are_trusted(addresses: Addresses, origin: str, trusted: bool) -> None:
    assert addresses.trusts(origin, 7420) is trusted
