"""The fields of a credential that is obtained with OAuth 2. Apart, since pydantic is imported late."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, SecretStr


class OAuthToken(BaseModel):
    """`access_token` is what requests carry. The rest is what ksl needs to obtain the next one."""

    access_token: SecretStr = SecretStr("")
    token_type: str = "Bearer"
    expires_at: datetime | None = None  # None: it does not say
    refresh_token: SecretStr | None = None
    scope: str = ""
    client_id: str = ""
    client_secret: SecretStr | None = None

    @property
    def authorization(self) -> str:
        """The value of the `Authorization` header."""
        return f"Bearer {self.access_token.get_secret_value()}"
