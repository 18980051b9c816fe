from __future__ import annotations

import pytest

from ksl.api.form_proof import VALID_S, FormProof

PROOF = FormProof("server token")
NOW = 1_795_262_400.0


def holds(cookie: str, proof: str, *, token: str = "t1", now_s: float = NOW) -> bool:
    return PROOF.holds(token, cookie=cookie, proof=proof, now_s=now_s)


def test_a_form_comes_back_with_its_cookie_and_its_proof() -> None:
    cookie = PROOF.new_cookie(NOW)
    assert holds(cookie, PROOF.of("t1", cookie))


def test_it_does_so_after_a_restart_of_the_server() -> None:
    cookie = PROOF.new_cookie(NOW)
    assert holds(cookie, FormProof("server token").of("t1", cookie))


def test_a_proof_holds_for_one_hook_one_cookie_and_one_server() -> None:
    cookie = PROOF.new_cookie(NOW)
    assert not holds(cookie, PROOF.of("t2", cookie))
    assert not holds(PROOF.new_cookie(NOW), PROOF.of("t1", cookie))
    assert not holds(cookie, FormProof("other").of("t1", cookie))


def test_a_form_may_be_open_for_half_an_hour() -> None:
    cookie = PROOF.new_cookie(NOW)
    proof = PROOF.of("t1", cookie)
    assert holds(cookie, proof, now_s=NOW + VALID_S)
    assert not holds(cookie, proof, now_s=NOW + VALID_S + 1)


@pytest.mark.parametrize(
    "cookie", ["", ".", "x.y", "1795262400", "1795262400.", "99999999999999999.x", "²3.x"]
)
def test_what_is_no_cookie_of_ours_proves_nothing(cookie: str) -> None:
    assert not holds(cookie, PROOF.of("t1", cookie))
    assert not holds(cookie, "")
    assert not PROOF.is_fresh(cookie, NOW)


def test_a_cookie_is_kept_for_the_next_form_while_half_of_its_time_is_left() -> None:
    cookie = PROOF.new_cookie(NOW)
    assert PROOF.is_fresh(cookie, NOW + VALID_S / 2)
    assert not PROOF.is_fresh(cookie, NOW + VALID_S / 2 + 1)
