"""Where the key of a vendor comes from: a credential first, then the environment."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from ksl.define.credential import Credential
from ksl.errors import ModelKeyMissing

if TYPE_CHECKING:
    from ksl.agent.models import Provider

# By vendor: the variables that its own programs read. A credential of the vendor's name goes before them.
VARIABLES: dict[str, tuple[str, ...]] = {
    "anthropic": ("ANTHROPIC_API_KEY",),
    "google": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    "openai": ("OPENAI_API_KEY",),
}
_CREDENTIAL = "credential:"
_VARIABLE = "env:"


class KeySource(msgspec.Struct, frozen=True):
    """Nothing is set where all of it is empty: a server that wants no key."""

    vendor: str
    given: str = ""  # the key itself, written in ksl.toml
    credential: str = ""  # the name of one with the field api_key
    variables: tuple[str, ...] = ()

    @property
    def is_needed(self) -> bool:
        return bool(self.credential or self.variables)

    def told(self, set_credentials: Collection[str], env: Mapping[str, str]) -> str:
        """Where it would be taken from, in words; empty where it is set nowhere."""
        if self.credential in set_credentials:
            return f"credential {self.credential}"
        if (variable := self.variable(env)) is not None:
            return f"environment {variable}"
        return "ksl.toml" if self.given else ""

    def variable(self, env: Mapping[str, str]) -> str | None:
        """The one that is set."""
        return next((name for name in self.variables if env.get(name)), None)

    @property
    def wanted(self) -> str:
        """What is to be set, in a few words."""
        ways = [f"credential {self.credential}"] if self.credential else []
        return f"set {' or '.join([*ways, *self.variables])}"

    @property
    def hint(self) -> str:
        """How to set it, both ways."""
        name = self.credential or self.vendor
        suggested = (
            self.variables[0] if self.variables else f"{self.vendor.upper().replace('-', '_')}_API_KEY"
        )
        as_credential = f"`ksl credentials set {name} --set api_key=@env:{suggested}`"
        as_variable = f"the variable {' or '.join(self.variables or (suggested,))}"
        section = f"[models.providers.{self.vendor}]"
        if not self.credential:
            other = f'write api_key = "credential:{name}" in {section} and {as_credential}'
            return f"Set {as_variable} where ksl runs; or {other}."
        if not self.variables:
            other = f'write api_key = "env:{suggested}" in {section} and set {as_variable}'
            return f"Set it with {as_credential}; or {other}."
        return f"Set it with {as_credential}, or set {as_variable} where ksl runs."

    def missing(self, model: str) -> ModelKeyMissing:
        return ModelKeyMissing(f'"{model}" needs a key of {self.vendor}, and none is set. {self.hint}')


def key_source(vendor: str, provider: Provider | None) -> KeySource:
    asked = "" if provider is None else provider.api_key
    if asked.startswith(_CREDENTIAL):
        return KeySource(vendor, credential=asked.removeprefix(_CREDENTIAL))
    if asked.startswith(_VARIABLE):
        return KeySource(vendor, variables=(asked.removeprefix(_VARIABLE),))
    if asked:
        return KeySource(vendor, given=asked)
    if vendor in VARIABLES:
        return KeySource(vendor, credential=vendor, variables=VARIABLES[vendor])
    return KeySource(vendor)


@cache
def key_credential(name: str) -> Credential[Any]:
    """What can be set for a model without being defined by the project."""
    from pydantic import BaseModel, SecretStr

    class ModelKey(BaseModel):
        """The key of a vendor of models."""

        api_key: SecretStr

    return Credential(name, fields=ModelKey, description="The key of a vendor of models")


def key_names(providers: Mapping[str, Provider]) -> list[str]:
    """Of the credentials that keys of models may lie in."""
    sources = [key_source(vendor, providers.get(vendor)) for vendor in {**VARIABLES, **providers}]
    return [source.credential for source in sources if source.credential]


def key_in(credential: Credential[Any], model: Any) -> str:
    """Errors: ModelKeyMissing where the project defines the credential otherwise."""
    value = getattr(model, "api_key", None)
    reveal: Callable[[], str] | None = getattr(value, "get_secret_value", None)
    key = value if reveal is None else reveal()
    if not isinstance(key, str) or not key:
        raise ModelKeyMissing(
            f"credential {credential.name} is to hold the key of a model, and what is set in it has no field api_key "
            f"with a text. Its fields are {', '.join(credential.fields.model_fields)} ({credential.place}). Give it "
            "that field, or another name."
        )
    return key
