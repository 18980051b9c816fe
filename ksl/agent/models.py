"""Which models there are: by vendor, by the project's own providers, and those for tests."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Literal

import msgspec

from ksl.agent.kept import Kept
from ksl.agent.keys import VARIABLES, KeySource, key_source
from ksl.agent.model import Model, Question, Reply
from ksl.errors import ExtraMissing, UnknownModel

Protocol = Literal["anthropic", "google", "openai"]
TESTS = ("echo", "script")
IDLE_MAX = 32  # models that hold connections and are not being asked
# The credential as it stands now; None where it is not set.
Find = Callable[[str], Awaitable["str | None"]]


class Provider(msgspec.Struct, frozen=True):
    """`[models.providers.NAME]`: a server that speaks the OpenAI chat protocol, or, for the name of a vendor, how that
    one is reached."""

    base_url: str = ""
    api_key: str = ""  # the key; or "credential:NAME" or "env:NAME", looked up when it is needed
    tool_choice: str = "required"  # or "named", where the server does not know "required"


def providers_of(given: Mapping[str, Mapping[str, str]]) -> dict[str, Provider]:
    """Of the setting models.providers."""
    return {name: msgspec.convert(each, Provider) for name, each in given.items()}


class Vendor(msgspec.Struct, frozen=True):
    """One line of `ksl models`."""

    name: str
    kind: str  # the protocol it speaks
    address: str
    ready: bool
    key: str = ""  # where its key comes from, in words
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
        set_credentials: Collection[str] = (),
        learn: Callable[[str, str], object] | None = None,
    ) -> None:
        """`set_credentials`: names, as far as they are known before one is looked up; for `check` and `vendors`.
        `learn` is told each key that is used, by its vendor, so that it can be masked."""
        self.folder = folder
        self.default = default
        self.providers = dict(providers or {})
        self._env = env
        self._set_credentials = set_credentials
        self._learn = learn
        self._tests: dict[str, Model] = {}
        # By name and key: one that was set anew counts at the next turn.
        self._kept: Kept[tuple[str, str], Model] = Kept(_closed, idle_max=IDLE_MAX)

    def name_of(self, asked: str | None) -> str:
        """Errors: UnknownModel where none is asked for and none is the default."""
        name = asked or self.default
        if not name:
            raise UnknownModel(
                'no model was named, and there is no default. Write model="vendor/model-id" at the call or on the '
                'agent, or set one for the project in ksl.toml:\n[models]\ndefault = "anthropic/claude-sonnet-4.6"'
            )
        return name

    def known(self, asked: str | None) -> str:
        """The full name of a model. Errors: UnknownModel, ExtraMissing."""
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
        if vendor not in VARIABLES and vendor not in self.providers:
            raise UnknownModel(
                f'"{name}" names the vendor "{vendor}", which is not known.{self._nearest(vendor)} The vendors are '
                f"{', '.join(self._vendors())}; another server that speaks the OpenAI protocol is "
                f'named in ksl.toml:\n[models.providers.{vendor}]\nbase_url = "http://127.0.0.1:8080/v1"'
            )
        if not installed():
            raise ExtraMissing(
                f'"{name}" needs packages that are not installed: `pip install "ksl[agents]"`. test/ models need none.'
            )
        return name

    def check(self, asked: str | None) -> str:
        """The full name of a model that can be asked, as far as that is known without asking anybody.

        Errors: UnknownModel, ModelKeyMissing, ExtraMissing.
        """
        name = self.known(asked)
        vendor = name.partition("/")[0]
        source = self.key_source(vendor)
        if vendor != "test" and source.is_needed and not source.told(self._set_credentials, self._env):
            raise source.missing(name)
        return name

    async def get(self, asked: str | None, find: Find) -> Model:
        """The model with its key as it is now: `find` looks up the credential. Errors: those of `check`."""
        name = self.name_of(asked)
        if (model := self._tests.get(name)) is not None:
            return model
        vendor, _, id = self.known(name).partition("/")
        if vendor == "test":
            from ksl.agent.scripted import test_model

            return self._tests.setdefault(name, test_model(id, name=name, folder=self.folder))
        key = await self._key(self.key_source(vendor), name, find)
        return _ModelOfKey(self._kept, name, key, partial(self._make, vendor, id, name, key))

    async def key(self, vendor: str, find: Find) -> str:
        """Empty where none is set."""
        return await self._key(self.key_source(vendor), "", find)

    def key_source(self, vendor: str) -> KeySource:
        return key_source(vendor, self.providers.get(vendor))

    def vendors(self) -> list[Vendor]:
        found: list[Vendor] = []
        for name in self._vendors():
            if name == "test":
                found.append(Vendor("test", "test", "", True))
                continue
            source = self.key_source(name)
            told = source.told(self._set_credentials, self._env)
            hint = source.wanted if source.is_needed and not told else "" if installed() else _EXTRA
            address = self.providers[name].base_url if name in self.providers else ""
            found.append(Vendor(name, _kind(name), address, not hint, told, hint))
        return found

    async def close(self) -> None:
        await self._kept.close()

    async def _key(self, source: KeySource, model: str, find: Find) -> str:
        if source.credential and (found := await find(source.credential)):
            return found
        variable = source.variable(self._env)
        key = source.given if variable is None else self._env[variable]
        if not key and source.is_needed and model:
            raise source.missing(model)
        if key and self._learn is not None:
            self._learn(source.vendor, key)
        return key

    async def _make(self, vendor: str, id: str, name: str, key: str) -> Model:
        provider = self.providers.get(vendor, Provider())

        def make() -> Model:
            from ksl.agent.vendor import VendorModel

            return VendorModel(
                _kind(vendor),
                id,
                name=name,
                key=key,
                base_url=provider.base_url or None,
                names_tool=provider.tool_choice == "named",
                has_price=vendor in VARIABLES,
            )

        return await asyncio.to_thread(make)  # seconds of importing, which must not keep the loop

    def _vendors(self) -> list[str]:
        return [*VARIABLES, *(name for name in self.providers if name not in VARIABLES), "test"]

    def _nearest(self, vendor: str) -> str:
        from difflib import get_close_matches

        near = get_close_matches(vendor, self._vendors(), n=1)
        return f' Is "{near[0]}" meant?' if near else ""


def installed() -> bool:
    return importlib.util.find_spec("pydantic_ai") is not None


_EXTRA = 'pip install "ksl[agents]"'


def _kind(vendor: str) -> Protocol:
    match vendor:
        case "anthropic" | "google":
            return vendor
        case _:
            return "openai"


class _ModelOfKey:
    """A model that is made when it is asked, unless it is there."""

    def __init__(
        self,
        kept: Kept[tuple[str, str], Model],
        name: str,
        key: str,
        make: Callable[[], Awaitable[Model]],
    ) -> None:
        self._kept = kept
        self._name = name
        self._key = key
        self._make = make

    async def turn(self, question: Question) -> Reply:
        async with self._kept.use((self._name, self._key), self._make) as model:
            return await model.turn(question)

    async def close(self) -> None:
        """It is kept for the next turn; `Models` closes it."""


async def _closed(model: Model) -> None:
    await model.close()
