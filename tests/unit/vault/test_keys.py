from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest

from ksl.errors import KeyUnusable
from ksl.records import CredentialPlace
from ksl.vault import seal
from ksl.vault.keys import KeyPlace, key_id

KEY, OTHER = b"\1" * 32, b"\2" * 32
PLACE = CredentialPlace("slack", "user", "ada")


def test_a_new_key_is_for_its_owner_alone_and_is_found_again(tmp_path: Path) -> None:
    place = KeyPlace(tmp_path / ".ksl" / "key", None)
    assert place.read() is None

    made = place.make()

    assert stat.S_IMODE((tmp_path / ".ksl" / "key").stat().st_mode) == 0o600
    found = place.read()
    assert found is not None
    assert found.newest == made.newest


@pytest.mark.parametrize(
    "text",
    [
        base64.b64encode(KEY).decode(),
        base64.urlsafe_b64encode(KEY).decode().rstrip("="),
        KEY.hex(),
        f"{KEY.hex()},{base64.b64encode(OTHER).decode()}",
        f"{KEY.hex()}\n{OTHER.hex()}\n",
    ],
)
def test_the_variable_takes_the_place_of_the_file(tmp_path: Path, text: str) -> None:
    ring = KeyPlace(tmp_path / "key", text).read()
    assert ring is not None
    assert ring.newest == key_id(KEY)
    assert ring[ring.newest] == KEY


@pytest.mark.parametrize("text", ["password", "AAAA", "zz" * 32, " ", KEY.hex() + ",nonsense"])
def test_what_is_no_key_is_told_without_being_repeated(tmp_path: Path, text: str) -> None:
    (tmp_path / "key").write_text(text)
    with pytest.raises(KeyUnusable) as told:
        KeyPlace(tmp_path / "key", None).read()
    assert str(tmp_path / "key") in str(told.value)
    assert "openssl rand" in str(told.value)
    assert "nonsense" not in str(told.value)


def test_a_seal_opens_with_its_key_in_its_place_only() -> None:
    sealed = seal.seal(KEY, b"value", place=PLACE, field="token")

    assert seal.unseal(KEY, sealed, place=PLACE, field="token") == b"value"
    wrong = [
        (OTHER, PLACE, "token"),
        (KEY, PLACE, "other"),
        (KEY, CredentialPlace("slack", "user", "eve"), "token"),
        (KEY, CredentialPlace("slack", "project"), "token"),
        (KEY, CredentialPlace("github", "user", "ada"), "token"),
    ]
    for key, place, field in wrong:
        with pytest.raises(seal.Unopened):
            seal.unseal(key, sealed, place=place, field=field)


def test_no_two_places_are_bound_to_the_same_bytes() -> None:
    sealed = seal.seal(KEY, b"value", place=CredentialPlace("a", "user", "bc"), field="d")
    with pytest.raises(seal.Unopened):
        seal.unseal(KEY, sealed, place=CredentialPlace("a", "user", "b"), field="cd")


@pytest.mark.parametrize("position", range(0, 33, 4))
def test_every_changed_bit_is_noticed(position: int) -> None:
    sealed = bytearray(seal.seal(KEY, b"value", place=PLACE, field="token"))
    sealed[position] ^= 1
    with pytest.raises(seal.Unopened):
        seal.unseal(KEY, bytes(sealed), place=PLACE, field="token")
    with pytest.raises(seal.Unopened):
        seal.unseal(KEY, bytes(sealed[:position]), place=PLACE, field="token")


def test_two_seals_of_one_value_differ() -> None:
    assert seal.seal(KEY, b"v", place=PLACE, field="f") != seal.seal(KEY, b"v", place=PLACE, field="f")


def test_a_proof_tells_its_key_from_others() -> None:
    assert seal.proves(KEY, seal.proof(KEY))
    assert not seal.proves(OTHER, seal.proof(KEY))
