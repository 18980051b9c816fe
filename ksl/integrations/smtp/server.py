"""The server that takes mail, as the fields of a credential."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, SecretStr, model_validator

_PORTS = {"none": 25, "starttls": 587, "tls": 465}
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class SmtpServer(BaseModel):
    """`security` is "starttls" (a plain connection that is encrypted before anything is told), "tls" (encrypted from
    the start) or "none". `port` is what is usual for it. Without `username` there is no login. `sender` is the
    `From` of mail that names none. `ca_file` is trusted instead of the usual certificates."""

    host: str
    port: int | None = None
    security: Literal["none", "starttls", "tls"] = "starttls"
    username: str = ""
    password: SecretStr = SecretStr("")
    sender: str = ""
    ca_file: str = ""

    @model_validator(mode="after")
    def _keep_the_password(self) -> SmtpServer:
        if self.username and self.security == "none" and self.host not in _LOOPBACK:
            raise ValueError('a login over security="none" would show the password to everybody on the way')
        return self

    @property
    def chosen_port(self) -> int:
        return self.port or _PORTS[self.security]
