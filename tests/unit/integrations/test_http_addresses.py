"""Only public addresses are reached, in whatever way an address is written."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksl.integrations.http.addresses import AddressRules

RULES = AddressRules()

INNER = [
    *("127.0.0.1", "127.8.9.1", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
    *("169.254.169.254", "169.254.170.2", "100.64.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192"),
    *(
        "224.0.0.1",
        "239.255.255.250",
        "255.255.255.255",
        "240.0.0.1",
        "198.18.0.1",
        "192.0.2.1",
        "203.0.113.9",
    ),
    *(
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd00:ec2::254",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
    ),
    *("100::1", "2001::1", "2001:0:53aa:64c:0:fbfe:f5ff:fffe"),
]
PUBLIC = ["1.1.1.1", "8.8.8.8", "93.184.216.34", "172.32.0.1", "100.128.0.1", "2606:4700:4700::1111"]


@pytest.mark.parametrize("address", INNER)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert RULES.refusal(address) is not None


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_taken(address: str) -> None:
    assert RULES.refusal(address) is None


FORMS = ["::ffff:{}", "::{}", "::ffff:0:{}", "64:ff9b::{}"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "address", [address for address in INNER if ":" not in address and address != "0.0.0.0"]
)
def test_an_address_inside_another_is_refused_like_itself(form: str, address: str) -> None:
    assert RULES.refusal(form.format(address)) is not None


@given(st.ip_addresses(v=4))
def test_no_form_opens_what_is_closed(address: IPv4Address) -> None:
    closed = RULES.refusal(str(address)) is not None
    six_to_four = IPv6Address((0x2002 << 112) | (int(address) << 80))
    for form in [form.format(address) for form in FORMS] + [str(six_to_four)]:
        if closed:
            assert RULES.refusal(form) is not None, form


@given(st.ip_addresses())
def test_what_is_taken_is_an_address_of_the_public_internet(address: IPv4Address | IPv6Address) -> None:
    if RULES.refusal(str(address)) is None:
        inner = address.is_loopback, address.is_link_local, address.is_multicast, address.is_unspecified
        assert not any(inner)


def test_an_allowed_network_is_reached_and_its_neighbours_are_not() -> None:
    rules = AddressRules(["10.1.0.0/16", "127.0.0.1", "fd00::/8"])
    for address in ("10.1.2.3", "127.0.0.1", "::ffff:127.0.0.1", "fd12::1", "8.8.8.8"):
        assert rules.refusal(address) is None
    for address in ("10.2.0.1", "127.0.0.2", "::1", "fc00::1", "169.254.169.254"):
        assert rules.refusal(address) is not None


@pytest.mark.parametrize("allow", ["localhost", "10.0.0.0/33", "", "*"])
def test_only_addresses_and_networks_can_be_allowed(allow: str) -> None:
    with pytest.raises(ValueError):
        AddressRules([allow])
