"""Credentials that a test gives, in place of a vault."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ksl.define.credential import Credential, Credentials, Resolved
from ksl.errors import MissingCredential
from ksl.records import CredentialUse, Scope
from ksl.vault.redactor import Redactor
from ksl.vault.values import secrets_of


class GivenCredentials:
    """`define.credential.CredentialSource`. What is given for one user is theirs alone; what is given for none is the
    project's."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._given: dict[tuple[str, str | None], Any] = {}

    def give(self, credential: Credential[Any], value: Any, *, user: str | None) -> None:
        """`value`: the model, or a dict of its fields. Errors: pydantic's ValidationError."""
        model = value if isinstance(value, credential.fields) else credential.fields.model_validate(value)
        for secret in secrets_of(credential, model):
            self._redactor.learn(credential.name, secret)
        self._given[credential.name, user] = model

    async def resolve(
        self,
        credentials: Sequence[Credential[Any]],
        *,
        pinned: Scope | None = None,
        subscriber: str | None = None,
        purpose: str = "",
    ) -> Resolved:
        found: dict[Any, Any] = {}
        uses: list[CredentialUse] = []
        for credential in credentials:
            users = [subscriber] if subscriber is not None and pinned in (None, "user") else []
            for user in [*users, *([None] if pinned != "user" else [])]:
                if (credential.name, user) in self._given:
                    found[credential] = self._given[credential.name, user]
                    uses.append(
                        CredentialUse(credential.name, "user" if user is not None else pinned or "project")
                    )
                    break
            else:
                raise MissingCredential(
                    f"credential {credential.name} was not given in this test, {purpose or 'which asked for it'}. Give "
                    f"it: `env.credentials({credential.name}, {{...}})`, or stub the action."
                )
        return Resolved(Credentials(found), tuple(uses))
