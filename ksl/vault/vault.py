"""Who is given which credential, and what people do to credentials."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ksl.define.credential import Credential, Credentials, Resolved
from ksl.errors import BadRequest, CredentialDamaged, MissingCredential, UnknownCredential
from ksl.log.credentials import Sealed
from ksl.records import CredentialPlace, CredentialUse, Scope
from ksl.records.moment import rfc3339
from ksl.vault import oauth, values
from ksl.vault.forms import LENGTH_MIN
from ksl.vault.redactor import Redactor
from ksl.vault.shelf import Opened, Shelf

_log = logging.getLogger("ksl.credentials")
SCOPES: tuple[Scope, ...] = ("user", "project", "organization")


class Vault:
    """`define.credential.CredentialSource`. `definitions`: by name, those of the project; `built_in`: those that can be
    set without being defined there."""

    def __init__(
        self,
        definitions: Mapping[str, Credential[Any]],
        *,
        project: Shelf | None,
        organization: Shelf,
        redactor: Redactor,
        now_ms: Callable[[], int],
        built_in: Mapping[str, Credential[Any]] | None = None,
    ) -> None:
        self.definitions = definitions
        self.built_in = built_in or {}
        self.redactor = redactor
        self._project = project
        self._organization = organization
        self._now_ms = now_ms
        self._refreshing = oauth.Refreshing(now_ms)

    async def learn(self) -> None:
        """Every stored secret is masked from here on, used or not. Errors: WrongKey, KeyUnusable."""
        for shelf in self._shelves():
            for place in await shelf.all():
                try:
                    opened = await shelf.open(place)
                except CredentialDamaged as error:
                    _log.warning("%s %s", error.code, error)  # only the steps that need it fail
                    continue
                for field in opened.secret if opened is not None else ():
                    assert opened is not None
                    for text in values.texts_of(opened[field]):
                        self.redactor.learn(place.name, text)

    async def resolve(
        self,
        credentials: Sequence[Credential[Any]],
        *,
        pinned: Scope | None = None,
        subscriber: str | None = None,
        purpose: str = "",
    ) -> Resolved:
        """`purpose` is for the line in the log."""
        given: dict[str, Any] = {}
        uses: list[CredentialUse] = []
        for credential in credentials:
            place, model, key_id = await self._find(credential, pinned, subscriber)
            for secret in values.secrets_of(credential, model):
                self.redactor.learn(credential.name, secret)
            given[credential.name] = model
            uses.append(CredentialUse(credential.name, place.scope, key_id))
            self._tell(place, key_id, purpose)
        return Resolved(Credentials(given), tuple(uses))

    async def set(
        self, name: str, given: Mapping[str, Any], *, scope: Scope = "project", user: str | None = None
    ) -> dict[str, Any]:
        """Sets fields, and keeps the others that were set there. Returns what was done, without any value; under
        `warnings` what a person should know.

        Errors: UnknownCredential, InvalidCredential, BadRequest for a user that does not go with the scope.
        """
        credential = self.definition(name)
        place = placed(name, scope, user)
        shelf = self._shelf(scope)
        stored = await shelf.open(place)
        kept = {} if stored is None else {field: values.json_value(text) for field, text in stored.items()}
        checked = values.checked(credential, {**kept, **given})
        short = [text for text in checked.secrets if text and not self.redactor.learn(name, text)]
        key_id = await shelf.put(place, checked.fields, now_ms=self._now_ms())
        answer: dict[str, Any] = {
            "name": name,
            "scope": scope,
            "user": user,
            "fields": sorted(checked.fields),
            "secret": sorted(field for field, (_, secret) in checked.fields.items() if secret),
            "key_id": key_id,
            "warnings": [],
        }
        if short:
            answer["warnings"].append(
                f"a secret of {name} is shorter than {LENGTH_MIN} characters: it is not masked in logs and records, "
                "since it would be found in text that has nothing to do with it"
            )
        return answer

    async def remove(self, name: str, *, scope: Scope = "project", user: str | None = None) -> None:
        """Errors: UnknownCredential where nothing is set."""
        await self._shelf(scope).remove(placed(name, scope, user))

    async def rotate(self, scope: Scope = "project") -> dict[str, Any]:
        """Of the project's key (users' credentials are sealed with it too), or the organization's."""
        key_id, count = await self._shelf(scope).rotate()
        return {
            "scope": "organization" if scope == "organization" else "project",
            "key_id": key_id,
            "credentials": count,
        }

    async def settled(self) -> None:
        """Returns when nothing is being refreshed: before the store is closed."""
        await self._refreshing.settled()

    async def sealed(self) -> Sealed:
        """Of all scopes. Needs no key."""
        rows = [row for shelf in self._shelves() for row in (await shelf.sealed()).rows]
        return Sealed(rows=tuple(sorted(rows, key=lambda row: (row.name, row.scope, row.user, row.field))))

    async def client_of(self, name: str, *, scope: Scope, user: str | None = None) -> Any:
        """What is set of who the application is, for obtaining a token: in the place itself, else in the project's or
        the organization's. None where there is nothing."""
        credential = self.definition(name)
        places = [
            placed(name, scope, user),
            placed(name, "project", None),
            placed(name, "organization", None),
        ]
        for place in dict.fromkeys(places):
            if place.scope != "organization" and self._project is None:
                continue
            opened = await self._shelf(place.scope).open(place)
            if opened is not None and ("client_id" in opened or "client_secret" in opened):
                return values.opened(credential, opened)
        return None

    def definition(self, name: str) -> Credential[Any]:
        """Errors: UnknownCredential, which names those that there are."""
        definition = self.definitions.get(name) or self.built_in.get(name)
        if definition is None:
            raise unknown(name, sorted(self.definitions), also=sorted(self.built_in))
        return definition

    async def _find(
        self, credential: Credential[Any], pinned: Scope | None, subscriber: str | None
    ) -> tuple[CredentialPlace, Any, str]:
        looked: list[CredentialPlace] = []
        for scope in (pinned,) if pinned is not None else SCOPES:
            if scope == "user" and subscriber is None:
                continue
            if scope != "organization" and self._project is None:
                continue
            place = placed(credential.name, scope, subscriber if scope == "user" else None)
            looked.append(place)
            shelf = self._shelf(scope)
            opened = await shelf.open(place)
            if opened is not None and (credential.oauth is None or "access_token" in opened):
                if credential.oauth is not None:
                    opened = await self._fresh(credential, shelf, place, opened)
                return place, values.opened(credential, opened), opened.key_id
        raise missing(credential, looked, pinned=pinned)

    async def _fresh(
        self, credential: Credential[Any], shelf: Shelf, place: CredentialPlace, opened: Opened
    ) -> Opened:
        """The token, refreshed where it has run out; the new one is stored before anybody is given it."""
        assert credential.oauth is not None

        async def store(renewed: dict[str, Any]) -> None:
            checked = values.checked(credential, renewed)
            for text in checked.secrets:
                self.redactor.learn(credential.name, text)
            await shelf.put(place, checked.fields, now_ms=self._now_ms())

        return await self._refreshing.fresh(credential, shelf, place, opened, store=store)

    def _shelf(self, scope: Scope) -> Shelf:
        if scope == "organization":
            return self._organization
        if self._project is None:
            raise BadRequest(f"there is no project here, and so no credential of scope {scope}.")
        return self._project

    def _shelves(self) -> list[Shelf]:
        return [shelf for shelf in (self._project, self._organization) if shelf is not None]

    def _tell(self, place: CredentialPlace, key_id: str, purpose: str) -> None:
        # Checking the signature of a delivery gives the secret to nobody: no line for each.
        if not purpose or not _log.isEnabledFor(logging.INFO):
            return
        line = {
            "at": rfc3339(self._now_ms()),
            "level": "info",
            "message": "credential used",
            "credential": place.name,
            "scope": place.scope,
            **({"user": place.user} if place.user else {}),
            "key_id": key_id,
            "for": purpose,
        }
        _log.info("credential %s used, for %s", place.name, purpose, extra={"ksl": line})


class NoVault:
    """`CredentialSource` where nothing is stored."""

    async def resolve(
        self,
        credentials: Sequence[Credential[Any]],
        *,
        pinned: Scope | None = None,
        subscriber: str | None = None,
        purpose: str = "",
    ) -> Resolved:
        for credential in credentials:
            raise missing(credential, [CredentialPlace(credential.name, pinned or "project")], pinned=pinned)
        return Resolved(Credentials(), ())


def placed(name: str, scope: Scope, user: str | None) -> CredentialPlace:
    """Errors: BadRequest for a user that does not go with the scope."""
    if scope not in SCOPES:
        raise BadRequest(f'"{scope}" is no scope. There are project, organization and user.')
    if (scope == "user") != bool(user):
        raise BadRequest(
            "scope user needs to know whose: --user U (in JSON, `user`). Nothing was changed."
            if scope == "user"
            else f"a user goes with scope user, not with scope {scope}. Nothing was changed."
        )
    return CredentialPlace(name, scope, user or "")


def unknown(name: str, known: Sequence[str], *, also: Sequence[str] = ()) -> UnknownCredential:
    """`also`: those that the project need not define."""
    from difflib import get_close_matches

    near = get_close_matches(name, [*known, *also], n=3)
    hint = (
        f"Did you mean {' or '.join(near)}?"
        if near
        else f"There are: {', '.join(known)}."
        if known
        else 'It defines none: write `Credential("name", fields=Model)` in a module of actions/.'
    )
    return UnknownCredential(f'the project defines no credential "{name}". Nothing was changed. {hint}')


def missing(
    credential: Credential[Any], looked: Sequence[CredentialPlace], *, pinned: Scope | None
) -> MissingCredential:
    where = ", ".join(f"user {place.user}" if place.user else place.scope for place in looked)
    if not looked:
        return MissingCredential(
            f"credential {credential.name} is pinned to scope {pinned}, and there is none here: the run was not "
            "started for a subscriber. The action was not run. Take away .scope(...), or start the run by "
            "a subscription."
        )
    first = next((place for place in looked if place.scope != "user"), looked[0])
    if pinned is not None:
        first = looked[0]
    return MissingCredential(
        f"credential {credential.name} is not set; looked in: {where}. The action was not run, and is not tried again "
        f"by itself. Set it with `{command(credential, first)}`, then `ksl runs retry` the run."
    )


def command(credential: Credential[Any], place: CredentialPlace) -> str:
    """What sets it there."""
    where = "" if place.scope == "project" else f" --scope {place.scope}"
    where += f" --user {place.user}" if place.user else ""
    if credential.oauth is not None:
        return f"ksl credentials connect {credential.name}{where}"
    wanted = values.required(credential) or list(credential.fields.model_fields)[:1]
    # With the credential's name: a variable such as USER has a value in every shell, and the wrong one.
    prefix = credential.name.replace("-", "_").upper()
    fields = "".join(f" --set {field}=@env:{prefix}_{field.upper()}" for field in wanted)
    return f"ksl credentials set {credential.name}{fields}{where}"
