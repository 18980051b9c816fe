"""Sealing, keys and rotation, over real files."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ksl.errors import BadRequest, CredentialDamaged, KeyUnusable, UnknownCredential, WrongKey
from ksl.log.organization import OrganizationFile
from ksl.log.sqlite import SqliteStore
from ksl.records import CredentialChange, CredentialPlace
from ksl.vault.keys import KeyPlace, key_id
from ksl.vault.shelf import Shelf

PLACE = CredentialPlace("slack", "project")
FIELDS = {"token": (b'"s3cr3t-value"', True), "channel": (b'"ops"', False)}


class Files:
    """One folder; `shelf()` is a process that begins."""

    def __init__(self, folder: Path, store: SqliteStore) -> None:
        self.folder = folder
        self.store = store

    def shelf(self, variable: str | None = None) -> Shelf:
        keys = KeyPlace(self.folder / "key", variable)
        return Shelf(self.store.credentials, keys, what="project demo", shared=False)


@pytest.fixture
async def files(tmp_path: Path) -> AsyncIterator[Files]:
    store = await SqliteStore.open(tmp_path / "ksl.db", durability="process")
    yield Files(tmp_path, store)
    await store.close()


def organization(folder: Path) -> Shelf:
    file = OrganizationFile(folder / "credentials.db")
    return Shelf(file, KeyPlace(folder / "key", None), what="the organization", shared=True)


async def test_what_is_put_is_opened_by_the_next_process(files: Files) -> None:
    key = await files.shelf().put(PLACE, FIELDS, now_ms=1)

    opened = await files.shelf().open(PLACE)

    assert opened is not None
    assert opened == {"token": b'"s3cr3t-value"', "channel": b'"ops"'}
    assert (opened.key_id, opened.secret) == (key, {"token"})
    assert await files.shelf().open(CredentialPlace("slack", "user", "ada")) is None
    assert b"s3cr3t-value" not in (files.folder / "ksl.db").read_bytes()
    assert b"s3cr3t-value" not in (files.folder / "ksl.db-wal").read_bytes()


async def test_a_row_that_was_moved_or_changed_does_not_open(files: Files) -> None:
    shelf = files.shelf()
    await shelf.put(PLACE, FIELDS, now_ms=1)
    await shelf.put(CredentialPlace("slack", "user", "eve"), {"token": (b'"eves-own-token"', True)}, now_ms=1)
    rows = {(row.scope, row.field): row for row in (await files.store.credentials.credentials()).rows}
    stolen = rows["project", "token"]
    swapped = [
        type(stolen)("slack", "user", "eve", "token", stolen.key_id, stolen.sealed, True, 1),
        type(stolen)("slack", "user", "eve", "token", stolen.key_id, stolen.sealed[:-1] + b"x", True, 1),
        type(stolen)("slack", "user", "eve", "token", stolen.key_id, b"", True, 1),
    ]
    for row in swapped:
        await files.store.credentials.change_credentials(CredentialChange(put=(row,)))

        with pytest.raises(CredentialDamaged, match="field token of credential slack, scope user eve"):
            await files.shelf().open(CredentialPlace("slack", "user", "eve"))
        assert await files.shelf().open(PLACE) is not None


async def test_another_key_is_refused_before_anything_is_done(files: Files) -> None:
    key = await files.shelf().put(PLACE, FIELDS, now_ms=1)
    other = secrets.token_bytes(32).hex()

    for variable in (other, f"{other},{secrets.token_bytes(32).hex()}"):
        with pytest.raises(WrongKey, match=f"sealed with key {key}"):
            await files.shelf(variable).open(PLACE)
        with pytest.raises(WrongKey):
            await files.shelf(variable).put(PLACE, FIELDS, now_ms=2)
    (files.folder / "key").unlink()
    with pytest.raises(WrongKey, match="holds none"):
        await files.shelf().put(PLACE, FIELDS, now_ms=2)
    assert not (files.folder / "key").exists()
    (files.folder / "key").write_text("nonsense")
    with pytest.raises(KeyUnusable):
        await files.shelf().open(PLACE)


async def test_a_lost_key_leaves_the_way_of_removing(files: Files) -> None:
    await files.shelf().put(PLACE, FIELDS, now_ms=1)
    (files.folder / "key").unlink()

    await files.shelf().remove(PLACE)
    await files.shelf().put(PLACE, FIELDS, now_ms=2)

    assert await files.shelf().open(PLACE) is not None
    with pytest.raises(UnknownCredential):
        await files.shelf().remove(CredentialPlace("crm", "project"))


async def test_rotation_seals_all_with_a_new_key_and_drops_the_old(files: Files) -> None:
    shelf = files.shelf()
    old = await shelf.put(PLACE, FIELDS, now_ms=1)
    await shelf.put(CredentialPlace("crm", "user", "ada"), {"token": (b'"x"', True)}, now_ms=1)

    new, count = await shelf.rotate()

    assert (new != old, count) == (True, 2)
    sealed = await files.store.credentials.credentials()
    assert {row.key_id for row in sealed.rows} == {new}
    assert [key for key, _ in sealed.checks] == [new]
    assert len((files.folder / "key").read_text().split()) == 1
    for each in (shelf, files.shelf()):
        opened = await each.open(PLACE)
        assert opened is not None
        assert opened["token"] == b'"s3cr3t-value"'


async def test_a_key_of_the_environment_is_rotated_by_putting_a_new_one_in_front(files: Files) -> None:
    old, new = secrets.token_bytes(32).hex(), secrets.token_bytes(32).hex()
    await files.shelf(old).put(PLACE, FIELDS, now_ms=1)
    assert not (files.folder / "key").exists()
    with pytest.raises(BadRequest, match="KSL_KEY=NEW,OLD"):
        await files.shelf(old).rotate()

    assert await files.shelf(f"{new},{old}").rotate() == (key_id(bytes.fromhex(new)), 1)

    assert await files.shelf(new).open(PLACE) is not None
    with pytest.raises(WrongKey):
        await files.shelf(old).open(PLACE)


async def test_there_is_nothing_to_rotate_where_nothing_is_set(files: Files) -> None:
    with pytest.raises(BadRequest, match="no key to rotate"):
        await files.shelf().rotate()
    assert not (files.folder / "key").exists()


async def test_processes_that_share_the_organization_see_each_others_changes(tmp_path: Path) -> None:
    shelves = [organization(tmp_path) for _ in range(4)]
    places = [CredentialPlace(f"c{number}", "organization") for number in range(12)]

    async def put(number: int) -> None:
        fields = {"token": (json.dumps(f"value {number}").encode(), True)}
        await shelves[number % 4].put(places[number], fields, now_ms=1)

    await asyncio.gather(*(put(number) for number in range(12)), shelves[0].all())
    rotations = asyncio.gather(shelves[1].rotate(), shelves[2].rotate())
    while not rotations.done():
        for shelf in shelves:
            opened = await shelf.open(places[3])
            assert opened is not None
            assert opened["token"] == b'"value 3"'
    await rotations

    for shelf in [*shelves, organization(tmp_path)]:
        assert len(await shelf.open_all()) == 12
