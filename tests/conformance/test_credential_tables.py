"""What every store of sealed credentials must do, asked of each of them."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ksl.log.credentials import CredentialTables, MemoryCredentials, Sealed, stored_in
from ksl.log.organization import OrganizationFile
from ksl.log.sqlite import SqliteStore
from ksl.records import CredentialChange, CredentialPlace, CredentialRow, Scope


@pytest.fixture(params=["project", "organization", "memory"])
async def tables(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[CredentialTables]:
    match request.param:
        case "memory":
            yield MemoryCredentials()
        case "organization":
            yield OrganizationFile(tmp_path / "home" / "credentials.db")
        case _:
            store = await SqliteStore.open(tmp_path / "ksl.db", durability="process")
            yield store.credentials
            await store.close()


def row(name: str, field: str, *, scope: Scope = "project", user: str = "", key: str = "k1") -> CredentialRow:
    return CredentialRow(name, scope, user, field, key, f"{name}{field}".encode(), secret=True, set_at_ms=1)


async def test_nothing_is_set_at_first(tables: CredentialTables) -> None:
    assert await tables.credentials() == Sealed()


async def test_what_is_put_is_found_in_order(tables: CredentialTables) -> None:
    rows = (
        row("slack", "token"),
        row("github", "b"),
        row("github", "a"),
        row("github", "a", scope="user", user="ada"),
    )
    await tables.change_credentials(CredentialChange(put=rows, checks=(("k1", b"proof"),)))

    found = await tables.credentials()

    assert [(each.name, each.scope, each.field) for each in found.rows] == [
        ("github", "project", "a"),
        ("github", "project", "b"),
        ("github", "user", "a"),
        ("slack", "project", "token"),
    ]
    assert set(found.rows) == set(rows)
    assert found.checks == (("k1", b"proof"),)


async def test_a_place_is_cleared_before_it_is_filled(tables: CredentialTables) -> None:
    await tables.change_credentials(CredentialChange(put=(row("slack", "old"), row("crm", "token"))))
    place = CredentialPlace("slack", "project")

    await tables.change_credentials(CredentialChange(gone=(place,), put=(row("slack", "new"),)))

    assert [(each.name, each.field) for each in (await tables.credentials()).rows] == [
        ("crm", "token"),
        ("slack", "new"),
    ]


async def test_users_do_not_touch_each_other(tables: CredentialTables) -> None:
    both = tuple(row("slack", "token", scope="user", user=user) for user in ("ada", "eve"))
    await tables.change_credentials(CredentialChange(put=both))

    await tables.change_credentials(CredentialChange(gone=(CredentialPlace("slack", "user", "ada"),)))

    assert [each.user for each in (await tables.credentials()).rows] == ["eve"]


async def test_the_check_of_a_key_goes_with_the_last_row_sealed_with_it(tables: CredentialTables) -> None:
    await tables.change_credentials(
        CredentialChange(
            put=(row("a", "f", key="k1"), row("b", "f", key="k2")), checks=(("k1", b"1"), ("k2", b"2"))
        )
    )
    await tables.change_credentials(CredentialChange(put=(row("a", "f", key="k2"),)))
    assert [key for key, _ in (await tables.credentials()).checks] == ["k2"]

    await tables.change_credentials(
        CredentialChange(gone=(CredentialPlace("a", "project"), CredentialPlace("b", "project")))
    )
    assert await tables.credentials() == Sealed()


async def test_the_organizations_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "home" / "credentials.db"
    await OrganizationFile(path).change_credentials(
        CredentialChange(put=(row("a", "f", scope="organization"),))
    )

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert len((await OrganizationFile(path).credentials()).rows) == 1


async def test_a_database_that_nobody_opened_is_read_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "ksl.db"
    assert stored_in(path) == Sealed()
    store = await SqliteStore.open(path, durability="process")
    await store.credentials.change_credentials(CredentialChange(put=(row("a", "f"),)))
    await store.close()
    before = path.read_bytes()

    assert [each.name for each in stored_in(path).rows] == ["a"]

    assert path.read_bytes() == before
