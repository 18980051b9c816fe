"""One store of credentials with its keys: the project's, or the organization's."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path

from msgspec.structs import replace

from ksl.errors import BadRequest, CredentialDamaged, UnknownCredential, WrongKey
from ksl.log.credentials import CredentialTables, Sealed, places
from ksl.records import CredentialChange, CredentialPlace, CredentialRow
from ksl.vault import seal
from ksl.vault.keys import KeyPlace, Keyring, key_id

_LOOKS_MAX = 3  # at a store that another process rotates meanwhile


class Opened(dict[str, bytes]):
    """JSON text by field."""

    def __init__(self, fields: Mapping[str, bytes], *, key_id: str, secret: frozenset[str]) -> None:
        super().__init__(fields)
        self.key_id = key_id  # of the key that the newest field is sealed with
        self.secret = secret  # the fields that are


class Shelf:
    """`shared`: other processes change it too, so that it is read anew for each question."""

    def __init__(
        self,
        tables: CredentialTables,
        keys: KeyPlace,
        *,
        what: str,
        shared: bool,
        hold: Callable[[], AbstractAsyncContextManager[None]] | None = None,
    ) -> None:
        self.keys = keys
        self.what = what
        self._tables = tables
        self._shared = shared
        self._hold = hold
        self._turns = asyncio.Lock()
        self._read: dict[CredentialPlace, list[CredentialRow]] | None = None
        self._ring: Keyring | None = None

    async def all(self) -> dict[CredentialPlace, list[CredentialRow]]:
        """What is set, sealed. Errors: WrongKey, KeyUnusable, and those of the store."""
        looks = 0
        while self._read is None or self._shared:
            sealed = await self._tables.credentials()
            looks += 1
            try:
                self._ring = checked(sealed, self.keys)
            except WrongKey:
                if not self._shared or looks == _LOOKS_MAX:
                    raise
                continue
            self._read = dict(places(sealed))
            break
        return self._read

    async def sealed(self) -> Sealed:
        """As it lies there: needs no key."""
        return await self._tables.credentials()

    async def open(self, place: CredentialPlace) -> Opened | None:
        """None where nothing is set. Errors: CredentialDamaged; as `all`."""
        rows = (await self.all()).get(place)
        return None if rows is None else self._opened(place, rows)

    async def open_all(self) -> list[tuple[CredentialPlace, Opened]]:
        return [(place, self._opened(place, rows)) for place, rows in (await self.all()).items()]

    async def put(
        self, place: CredentialPlace, fields: Mapping[str, tuple[bytes, bool]], *, now_ms: int
    ) -> str:
        """Replaces what was set there: (JSON text, whether it is secret) by field. Returns the key's id."""
        async with self._changing():
            await self.all()
            if self._ring is None:
                self._ring = self.keys.make()
            ring = self._ring
            key = ring[ring.newest]
            rows = tuple(
                CredentialRow(
                    place.name,
                    place.scope,
                    place.user,
                    field,
                    ring.newest,
                    seal.seal(key, value, place=place, field=field),
                    secret,
                    now_ms,
                )
                for field, (value, secret) in fields.items()
            )
            check = (ring.newest, seal.proof(key))
            await self._change(CredentialChange(gone=(place,), put=rows, checks=(check,)))
            return ring.newest

    async def remove(self, place: CredentialPlace) -> None:
        """Needs no key: what can no longer be opened can be removed. Errors: UnknownCredential."""
        async with self._changing():
            if place not in dict(places(await self._tables.credentials())):
                raise UnknownCredential(
                    f"credential {place.name} is not set in scope {described(place)} of {self.what}. Nothing was "
                    "removed. `ksl credentials list` shows what is set."
                )
            await self._change(CredentialChange(gone=(place,)))

    async def rotate(self) -> tuple[str, int]:
        """Seals everything with a new key, or with the first of `KSL_KEY`; its id, and how many credentials.

        Old and new key lie in the file together until the store has committed, so whatever dies in between, every row
        can be read. Errors: BadRequest where there is nothing to rotate.
        """
        import secrets

        async with self._changing():
            read = await self.all()
            ring = self._ring
            if ring is None or not read:
                raise BadRequest(f"no credential is set in {self.what}, so there is no key to rotate yet.")
            if self.keys.is_file:
                fresh = secrets.token_bytes(32)
                in_use = dict.fromkeys(row.key_id for rows in read.values() for row in rows)
                self.keys.write([fresh, *(ring[name] for name in in_use)])
            else:
                fresh = ring[ring.newest]
                if all(row.key_id == ring.newest for rows in read.values() for row in rows):
                    raise BadRequest(
                        f"{self.keys.source} holds no newer key than the one in use ({ring.newest}). Nothing was "
                        f"changed. Put a new key in front of it (`{self.keys.source}=NEW,OLD`), rotate, then take the "
                        "old one away."
                    )
            name = key_id(fresh)
            resealed = tuple(
                replace(
                    row,
                    key_id=name,
                    sealed=seal.seal(fresh, self._value(place, row), place=place, field=row.field),
                )
                for place, rows in read.items()
                for row in rows
            )
            await self._change(CredentialChange(put=resealed, checks=((name, seal.proof(fresh)),)))
            if self.keys.is_file:
                self.keys.write([fresh])
                self._ring = None
            return name, len(read)

    @asynccontextmanager
    async def refreshing(self, place: CredentialPlace) -> AsyncGenerator[None]:
        """Keeps other processes from refreshing the same token; this one has a lock of its own for that."""
        if not self._shared:
            async with self._hold() if self._hold is not None else nullcontext():
                yield
            return
        digest = hashlib.sha256(place.name.encode()).hexdigest()[:16]
        async with locked(self.keys.path.with_name(f"refresh-{digest}.lock")):
            yield

    def _opened(self, place: CredentialPlace, rows: list[CredentialRow]) -> Opened:
        newest = max(rows, key=lambda row: row.set_at_ms)
        fields = {row.field: self._value(place, row) for row in rows}
        return Opened(fields, key_id=newest.key_id, secret=frozenset(row.field for row in rows if row.secret))

    def _value(self, place: CredentialPlace, row: CredentialRow) -> bytes:
        assert self._ring is not None
        try:
            if row.key_id not in self._ring:
                raise seal.Unopened
            return seal.unseal(self._ring[row.key_id], row.sealed, place=place, field=row.field)
        except seal.Unopened:
            raise CredentialDamaged(
                f"field {row.field} of credential {row.name}, scope {described(place)} of {self.what}, is not what was "
                "stored there: its seal does not fit its bytes and its place. Nothing was done with it. Set the "
                "credential again, and look at who can write to the database."
            ) from None

    async def _change(self, change: CredentialChange) -> None:
        self._read = None  # whatever becomes of it
        await self._tables.change_credentials(change)

    @asynccontextmanager
    async def _changing(self) -> AsyncGenerator[None]:
        """One change at a time, in this process and, where the store is shared, among all."""
        async with self._turns:
            if not self._shared:
                yield
                return
            async with locked(self.keys.path.with_name("lock")):
                yield


@asynccontextmanager
async def locked(path: Path) -> AsyncGenerator[None]:
    """Holds a file's lock; it ends with its holder, whatever that dies of."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        await asyncio.to_thread(fcntl.flock, handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def checked(sealed: Sealed, keys: KeyPlace) -> Keyring | None:
    """The keys, shown to be those that the rows are sealed with. None where there are neither.

    Errors: WrongKey, KeyUnusable.
    """
    used = {key for key, _ in sealed.checks} | {row.key_id for row in sealed.rows}
    ring = keys.read()
    for name in sorted(used):
        proof = dict(sealed.checks).get(name)
        if ring is None or name not in ring or (proof is not None and not seal.proves(ring[name], proof)):
            where = f"{keys.source} holds {'another' if ring is not None else 'none'}"
            raise WrongKey(
                f"{len(sealed.rows)} fields of credentials are sealed with key {name}, and {where}. Nothing was "
                "changed. Put that key back (from a backup of the file, or into KSL_KEY). If it is lost, so are the "
                "values: `ksl credentials remove` them, and set them anew."
            )
    return ring


def described(place: CredentialPlace) -> str:
    return f"user {place.user}" if place.scope == "user" else place.scope
