from __future__ import annotations

from ksl.api.ui.logins import LINK_S, SESSION_S, Logins

NOW = 1_800_000_000.0


def test_a_link_works_once_and_not_for_ever() -> None:
    logins = Logins("token")
    code, late = logins.new_link(NOW), logins.new_link(NOW)
    assert not logins.use_link("another", NOW)
    assert logins.use_link(code, NOW + LINK_S)
    assert not logins.use_link(code, NOW)
    assert not logins.use_link(late, NOW + LINK_S + 1)
    assert not logins.use_link(late, NOW)


def test_links_that_nobody_opens_do_not_pile_up() -> None:
    logins = Logins("token")
    first = logins.new_link(NOW)
    codes = [logins.new_link(NOW) for _ in range(100)]
    assert not logins.use_link(first, NOW)
    assert all(logins.use_link(code, NOW) for code in codes)


def test_a_cookie_outlives_the_server_but_not_its_token_nor_its_time() -> None:
    cookie = Logins("token").new_cookie(NOW)
    assert Logins("token").holds(cookie, NOW + SESSION_S)
    assert not Logins("token").holds(cookie, NOW + SESSION_S + 1)
    assert not Logins("token").holds(cookie, NOW - 1)
    assert not Logins("another").holds(cookie, NOW)


def test_a_cookie_that_was_changed_is_none_of_ours() -> None:
    logins = Logins("token")
    issued, nonce, mac = logins.new_cookie(NOW).split(".")
    for forged in (
        f"{int(issued) + 1}.{nonce}.{mac}",
        f"{issued}.x{nonce}.{mac}",
        f"{issued}.{nonce}.",
        "",
        ".",
        "é.é",
    ):
        assert not logins.holds(forged, NOW)


def test_a_session_that_has_been_left_is_over_and_others_go_on() -> None:
    logins = Logins("token")
    left, other = logins.new_cookie(NOW), logins.new_cookie(NOW)
    logins.end(left)
    assert not logins.holds(left, NOW)
    assert logins.holds(other, NOW)


def test_the_proof_of_a_form_belongs_to_one_session() -> None:
    logins = Logins("token")
    mine, other = logins.new_cookie(NOW), logins.new_cookie(NOW)
    assert logins.is_own_form(mine, logins.form_proof(mine))
    assert not logins.is_own_form(other, logins.form_proof(mine))
    assert not logins.is_own_form("", logins.form_proof(""))
    assert not logins.is_own_form(mine, "é")


def test_ours_is_found_among_the_cookies_of_others() -> None:
    logins = Logins("token")
    header = f'theme="a;b=c"; {logins.cookie_name}=1.a.b; odd; x{logins.cookie_name}=2'
    assert logins.cookie_in(header) == "1.a.b"
    assert logins.cookie_in("x=1") == ""
    assert logins.cookie_name != Logins("another").cookie_name
