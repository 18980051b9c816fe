"""Credentials: what an action needs to act for somebody. Declared here, resolved when a step runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, cast, overload

from ksl.define.seam import frame_at
from ksl.errors import CredentialNotNamed, MalformedDefinition
from ksl.records.credential import CredentialUse, Scope

if TYPE_CHECKING:
    from pydantic import BaseModel

    from ksl.define.oauth_token import OAuthToken

F = TypeVar("F", bound="BaseModel")

_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


@dataclass(frozen=True)
class OAuth:
    """How a credential is obtained with OAuth 2: authorization code with PKCE, on a loopback redirect.

    `client_id` may be left to `ksl credentials set NAME --set client_id=...`, where a `client_secret` belongs in
    any case. `parameters` go into the authorization URL as they are, such as `{"access_type": "offline"}`. With
    `redirect_port` the redirect address is `http://127.0.0.1:PORT/callback`, for services that want to know it
    beforehand; 0 takes any free port.
    """

    authorize_url: str
    token_url: str
    scopes: Sequence[str] = ()
    client_id: str = ""
    redirect_port: int = 0
    parameters: Mapping[str, str] | None = None


class Credential(Generic[F]):
    """A named set of fields, told by a pydantic model with its secrets as `SecretStr`. Holds no value."""

    @overload
    def __init__(
        self, name: str, *, fields: type[F], description: str = "", oauth: OAuth | None = None
    ) -> None: ...
    @overload
    def __init__(self: Credential[OAuthToken], name: str, *, oauth: OAuth, description: str = "") -> None: ...
    def __init__(
        self, name: str, *, fields: Any = None, description: str = "", oauth: OAuth | None = None
    ) -> None:
        """`fields` may be left out with `oauth`: then it is ksl's own model of a token (`access_token`, ...). A model
        of one's own for `oauth` needs at least those fields of it that are read."""
        frame = frame_at(1)
        self.place = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > 100:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise MalformedDefinition(
                f"credential {name!r} ({self.place}): a name is small letters, digits and single dashes, such as "
                '"slack" or "crm-live".'
            )
        if fields is None and oauth is None:
            raise MalformedDefinition(
                f"credential {name} ({self.place}) says neither fields= (a pydantic model) nor oauth=."
            )
        if fields is not None and not hasattr(fields, "model_validate"):
            raise MalformedDefinition(
                f"credential {name} ({self.place}): fields= is a pydantic model (a class), not {fields!r}."
            )
        self.name = name
        self.slug = name
        self.description = description
        self.oauth = oauth
        self._fields = fields

    def __repr__(self) -> str:
        return f"<credential {self.name}>"

    @property
    def fields(self) -> type[F]:
        """The model of its fields."""
        if self._fields is None:
            from ksl.define.oauth_token import OAuthToken

            self._fields = OAuthToken
        return cast("type[F]", self._fields)


class Credentials:
    """What an attempt was given: `ctx.credentials[slack].token`. By the object, which types it, or by name."""

    __slots__ = ("_given",)

    def __init__(self, given: Mapping[Any, Any] | None = None) -> None:
        """For unit tests of actions too: `ActionContext(credentials=Credentials({slack: SlackToken(...)}))`."""
        self._given = {_name(key): value for key, value in (given or {}).items()}

    @overload
    def __getitem__(self, credential: Credential[F]) -> F: ...
    @overload
    def __getitem__(self, credential: str) -> Any: ...
    def __getitem__(self, credential: Credential[Any] | str) -> Any:
        """Errors: CredentialNotNamed for one that the action does not name."""
        name = _name(credential)
        try:
            return self._given[name]
        except KeyError:
            named = ", ".join(sorted(self._given)) or "none"
            raise CredentialNotNamed(
                f"the action asked for credential {name}, which it was not given; it was given: {named}. Name it in "
                f"@action(credentials=[...]), so that it is looked up before the action runs."
            ) from None

    def __contains__(self, credential: object) -> bool:
        return isinstance(credential, Credential | str) and _name(cast("str", credential)) in self._given

    def __iter__(self) -> Iterator[str]:
        return iter(self._given)

    def __len__(self) -> int:
        return len(self._given)

    def __repr__(self) -> str:
        return f"<credentials {', '.join(self._given) or 'none'}>"


NO_CREDENTIALS = Credentials()


@dataclass(frozen=True)
class Resolved:
    """Credentials for one attempt, and what is recorded of it."""

    credentials: Credentials
    uses: tuple[CredentialUse, ...]


class CredentialSource(Protocol):
    """Who looks credentials up. `ksl.vault` is the real one."""

    async def resolve(
        self,
        credentials: Sequence[Credential[Any]],
        *,
        pinned: Scope | None = None,
        subscriber: str | None = None,
        purpose: str = "",
    ) -> Resolved:
        """The pinned scope only; else the subscriber's own, the project's, the organization's, in this order.
        `purpose` is for the line in the log that tells of the use.

        Errors: MissingCredential, InvalidCredential, CredentialDamaged, WrongKey, AuthorizationFailed.
        """
        ...


def _name(credential: Credential[Any] | str) -> str:
    return credential if isinstance(credential, str) else credential.name
