"""Which models there are: by vendor, by the project's own providers, and those for tests."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from ksl.agent.model import Model
from ksl.errors import ExtraMissing, ModelKeyMissing, UnknownModel

Protocol = Literal["anthropic", "google", "openai"]
VENDORS: dict[str, tuple[Protocol, tuple[str, ...]]] = {
    "anthropic": ("anthropic", ("ANTHROPIC_API_KEY",)),
    "google": ("google", ("GEMINI_API_KEY", "GOOGLE_API_KEY")),
    "openai": ("openai", ("OPENAI_API_KEY",)),
}
TESTS = ("echo", "script")


class Provider(msgspec.Struct, frozen=True):
    """A server that speaks the OpenAI chat protocol: `[models.providers.NAME]`."""

    base_url: str
    api_key: str = ""  # "env:NAME" is looked up when it is needed
    tool_choice: str = "required"  # or "named", where the server does not know "required"


class Vendor(msgspec.Struct, frozen=True):
    """One line of `ksl models`."""

    name: str
    kind: str  # the protocol it speaks
    address: str
    ready: bool
    hint: str = ""  # what is missing


class Models:
    """Finds the model of a name, and keeps it: a model holds connections."""

    def __init__(
        self,
        *,
        folder: Path,
        default: str = "",
        providers: Mapping[str, Provider] | None = None,
        env: Mapping[str, str],
        learn: Callable[[str, str], object] | None = None,
    ) -> None:
        """`learn` is told each key that is used, by its vendor, so that it can be masked."""
        self.folder = folder
        self.default = default
        self.providers = dict(providers or {})
        self._env = env
        self._learn = learn
        self._open: dict[str, Model] = {}

    def name_of(self, asked: str | None) -> str:
        """Errors: UnknownModel where none is asked for and none is the default."""
        name = asked or self.default
        if not name:
            raise UnknownModel(
                'no model was named, and there is no default. Write model="vendor/model-id" at the call or on the '
                'agent, or set one for the project in ksl.toml:\n[models]\ndefault = "anthropic/claude-sonnet-4.6"'
            )
        return name

    def check(self, asked: str | None) -> str:
        """The full name of a model that can be asked. Errors: UnknownModel, ModelKeyMissing, ExtraMissing."""
        name = self.name_of(asked)
        vendor, _, model = name.partition("/")
        if not vendor or not model:
            raise UnknownModel(
                f'"{name}" is not the name of a model. Write vendor/model-id, like "anthropic/claude-sonnet-4.6".'
                f"{self._nearest(vendor or name)}"
            )
        if vendor == "test":
            from ksl.agent.scripted import check_test_model

            check_test_model(model, folder=self.folder)
            return name
        if vendor not in VENDORS and vendor not in self.providers:
            raise UnknownModel(
                f'"{name}" names the vendor "{vendor}", which is not known.{self._nearest(vendor)} The vendors are '
                f"{', '.join([*VENDORS, 'test', *self.providers])}; another server that speaks the OpenAI protocol is "
                f'named in ksl.toml:\n[models.providers.{vendor}]\nbase_url = "http://127.0.0.1:8080/v1"'
            )
        if vendor not in self.providers and not self.key(vendor):
            raise ModelKeyMissing(
                f'"{name}" needs a key of {vendor}, and none is set. Put it into the environment as '
                f"{VENDORS[vendor][1][0]}, or choose another model."
            )
        if vendor in self.providers and not self.key(vendor) and self.providers[vendor].api_key:
            raise ModelKeyMissing(
                f'"{name}" needs the key that models.providers.{vendor}.api_key names, '
                f"{self.providers[vendor].api_key.removeprefix('env:')}, and the environment does not have it."
            )
        if not installed():
            raise ExtraMissing(
                f'"{name}" needs packages that are not installed: `pip install "ksl[agents]"`. test/ models need none.'
            )
        return name

    async def get(self, name: str) -> Model:
        """Errors: those of `check`."""
        model = self._open.get(name)
        if model is None:
            self.check(name)
            vendor, _, id = name.partition("/")
            made = await self._make(vendor, id, name)
            model = self._open.setdefault(name, made)
            if model is not made:  # somebody else was quicker
                await made.close()
        return model

    def key(self, vendor: str) -> str:
        if (provider := self.providers.get(vendor)) is not None:
            asked = provider.api_key
            return self._env.get(asked.removeprefix("env:"), "") if asked.startswith("env:") else asked
        return next((key for name in VENDORS[vendor][1] if (key := self._env.get(name))), "")

    def vendors(self) -> list[Vendor]:
        found: list[Vendor] = []
        for name, (kind, variables) in VENDORS.items():
            if name in self.providers:
                continue
            hint = "" if self.key(name) else f"set {' or '.join(variables)}"
            found.append(Vendor(name, kind, "", not hint and installed(), hint or _extra()))
        for name, provider in self.providers.items():
            missing = provider.api_key and not self.key(name)
            hint = f"set {provider.api_key.removeprefix('env:')}" if missing else ""
            found.append(
                Vendor(name, "openai", provider.base_url, not hint and installed(), hint or _extra())
            )
        found.append(Vendor("test", "test", "", True))
        return found

    async def close(self) -> None:
        models, self._open = list(self._open.values()), {}
        for model in models:
            await model.close()

    async def _make(self, vendor: str, id: str, name: str) -> Model:
        if vendor == "test":
            from ksl.agent.scripted import test_model

            return test_model(id, name=name, folder=self.folder)
        import asyncio

        provider = self.providers.get(vendor)
        kind = VENDORS[vendor][0] if provider is None else "openai"
        base_url = None if provider is None else provider.base_url

        if self._learn is not None and (key := self.key(vendor)):
            self._learn(vendor, key)

        def make() -> Model:
            from ksl.agent.vendor import VendorModel

            return VendorModel(
                kind,
                id,
                name=name,
                key=self.key(vendor),
                base_url=base_url,
                names_tool=provider is not None and provider.tool_choice == "named",
            )

        return await asyncio.to_thread(make)  # seconds of importing, which must not keep the loop

    def _nearest(self, vendor: str) -> str:
        from difflib import get_close_matches

        near = get_close_matches(vendor, [*VENDORS, "test", *self.providers], n=1)
        return f' Is "{near[0]}" meant?' if near else ""


def installed() -> bool:
    return importlib.util.find_spec("pydantic_ai") is not None


def _extra() -> str:
    return "" if installed() else 'pip install "ksl[agents]"'
