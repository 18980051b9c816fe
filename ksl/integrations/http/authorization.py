"""The fields of credentials that go into a request's headers."""

from __future__ import annotations

from base64 import b64encode

from pydantic import BaseModel, SecretStr


class BearerToken(BaseModel):
    """`Authorization: Bearer TOKEN`."""

    token: SecretStr

    @property
    def authorization(self) -> str:
        return f"Bearer {self.token.get_secret_value()}"


class BasicLogin(BaseModel):
    """`Authorization: Basic ...`, from a name and a password."""

    username: str
    password: SecretStr

    @property
    def authorization(self) -> str:
        return "Basic " + b64encode(f"{self.username}:{self.password.get_secret_value()}".encode()).decode()


class HeaderSecret(BaseModel):
    """A header of the service's own, such as `X-Api-Key`."""

    header: str = "X-Api-Key"
    value: SecretStr


def secret_headers(value: BaseModel) -> dict[str, str]:
    """Of one of the models above, or of ksl's own model of an OAuth token."""
    if isinstance(value, HeaderSecret):
        return {value.header.lower(): value.value.get_secret_value()}
    return {"authorization": value.authorization}  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]


def can_authorize(fields: type[BaseModel]) -> bool:
    return issubclass(fields, HeaderSecret) or hasattr(fields, "authorization")
