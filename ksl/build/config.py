"""A project's settings: a flag beats a variable, a variable beats `ksl.toml`, the file beats the default.

A variable is named `KSL_<SECTION>_<KEY>`; an empty one counts as not set. A misspelt key is an error in the
file and in the environment alike, since a setting that is silently ignored is found out too late. Variables
that name no section (`KSL_URL`, `KSL_TOKEN`, `KSL_KEY` and whatever others there are) are not settings.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, NoReturn, cast

import msgspec

from ksl.build.settings_file import CONFIG_NAME, line_of, read_toml
from ksl.build.settings_values import READERS, as_typed
from ksl.errors import BadSetting, NotAProject, UnknownSetting


class ProjectSettings(msgspec.Struct, frozen=True):
    name: str = ""  # default: the folder's name
    # where discovery looks, as paths below the project folder
    workflows: str = "workflows"
    actions: str = "actions"
    agents: str = "agents"
    triggers: str = "triggers"


class ServerSettings(msgspec.Struct, frozen=True):
    host: str = "127.0.0.1"
    port: int = 7420  # 0: any free port
    public_url: str = ""  # without a slash at the end; empty: http://host:port


class StoreSettings(msgspec.Struct, frozen=True):
    path: Path = Path(".ksl/ksl.db")  # absolute once loaded; a relative one starts at the project folder
    durability: Literal["full", "process"] = "full"


class QueueSettings(msgspec.Struct, frozen=True):
    concurrency: int = 256  # runs being advanced at once
    backlog: int = 100_000  # runs in line for that, beyond which starts over HTTP are refused


class RetentionSettings(msgspec.Struct, frozen=True):
    finished_runs: float = 30 * 86_400.0  # seconds; 0 keeps for ever


class LimitSettings(msgspec.Struct, frozen=True):
    body: int = 1 << 20  # bytes of an HTTP body
    payload: int = 32 << 20  # bytes of one input, output, step result or hook payload
    steps: int = 100_000  # recorded steps in one run


class ModelSettings(msgspec.Struct, frozen=True):
    default: str = ""  # "vendor/model-id"; empty: every call must name its own
    # What the models of this project may be asked for in one day (UTC), all runs together; 0: no bound.
    daily_tokens: int = 0
    daily_usd: float = 0.0
    daily_turns: int = 0
    on_exceeded: Literal["raise", "hold"] = "raise"
    # Servers that speak the OpenAI protocol, by the name that stands before the slash: base_url and api_key of each.
    providers: dict[str, dict[str, str]] = {}


class TelemetrySettings(msgspec.Struct, frozen=True):
    otlp_endpoint: str = ""  # spans of ended runs are sent to it, at /v1/traces; empty: nowhere


class TuiSettings(msgspec.Struct, frozen=True):
    keys: dict[str, str] = {}  # by the id of what they do: keys, with commas between them


class Settings(msgspec.Struct, frozen=True):
    folder: Path  # of the project, absolute
    project: ProjectSettings
    server: ServerSettings
    store: StoreSettings
    queue: QueueSettings
    retention: RetentionSettings
    limits: LimitSettings
    models: ModelSettings
    telemetry: TelemetrySettings = TelemetrySettings()
    tui: TuiSettings = TuiSettings()

    @property
    def data_folder(self) -> Path:
        """Where the database lies, and beside it the lock, the token and what else belongs to one server."""
        return self.store.path.parent


def find_project(start: Path) -> Path:
    """The nearest folder with a `ksl.toml`, from `start` upwards."""
    start = start.resolve()
    for folder in (start, *start.parents):
        if (folder / CONFIG_NAME).exists():
            return folder
    raise NotAProject(
        f"There is no {CONFIG_NAME} in {start} or in a folder above it, so this is not a ksl project. "
        "Change to your project's folder, or start a project here with `ksl init`."
    )


def load_settings(
    folder: Path, env: Mapping[str, str] | None = None, flags: Mapping[str, object] | None = None
) -> Settings:
    """The settings of the project in `folder`.

    Shape:   `flags` maps "section.key" to a value; one that is None was not given.
    Errors:  NotAProject, ConfigUnreadable, UnknownSetting, BadSetting. Nothing has been touched then.
    """
    folder = folder.resolve()
    config = folder / CONFIG_NAME
    text, table = read_toml(config)
    values: dict[str, dict[str, Any]] = {section: {} for section in READERS}
    for given in (*_in_file(config, text, table), *_in_env(env or {}), *_in_flags(flags or {})):
        read = READERS[given.section][given.key]
        value = as_typed(read, given.value) if given.as_text else given.value
        try:
            values[given.section][given.key] = read(value)
        except ValueError as wrong:
            raise BadSetting(
                f"{given.place} is {_shown(given.value)}; it takes {wrong}. "
                "Nothing was started; put the value right and try again."
            ) from None
    _folders_differ(config, ProjectSettings(**values["project"]))
    values["project"].setdefault("name", folder.name or "ksl")
    values["store"]["path"] = folder / values["store"].get("path", StoreSettings().path)
    return Settings(
        folder=folder,
        project=ProjectSettings(**values["project"]),
        server=ServerSettings(**values["server"]),
        store=StoreSettings(**values["store"]),
        queue=QueueSettings(**values["queue"]),
        retention=RetentionSettings(**values["retention"]),
        limits=LimitSettings(**values["limits"]),
        models=ModelSettings(**values["models"]),
        telemetry=TelemetrySettings(**values["telemetry"]),
        tui=TuiSettings(**values["tui"]),
    )


def is_loopback(host: str) -> bool:
    """Whether a server bound to this host can be reached from this machine alone."""
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback


class _Given(NamedTuple):
    section: str
    key: str
    value: object
    place: str  # how a message names it: file:line and key, variable, or flag
    as_text: bool = False  # numbers arrive as text too


def _in_file(config: Path, text: str, table: Mapping[str, object]) -> Iterator[_Given]:
    for section, body in table.items():
        where = _at(config, line_of(text, section))
        if section not in READERS:
            _refuse_section(section, where)
        if not isinstance(body, dict):
            raise BadSetting(
                f"{where} {section} is {_shown(body)}, but {section} is a section. "
                f"Write a line [{section}] and its keys below: {', '.join(READERS[section])}."
            )
        for key, value in cast("dict[str, object]", body).items():
            where = _at(config, line_of(text, section, key))
            if key not in READERS[section]:
                _refuse_key(section, key, where)
            yield _Given(section, key, value, f"{where} {section}.{key}")


def _in_env(env: Mapping[str, str]) -> Iterator[_Given]:
    for name, value in sorted(env.items()):
        section, _, key = name.removeprefix("KSL_").lower().partition("_")
        if not name.startswith("KSL_") or section not in READERS or not key:
            continue
        if key not in READERS[section]:
            nearest = f"KSL_{section}_{_nearest(key, READERS[section])}".upper()
            raise UnknownSetting(
                f"The environment variable {name} names no setting; the nearest is {nearest}. "
                "Nothing was started; rename the variable or unset it."
            )
        if value:
            yield _Given(section, key, value, f"The environment variable {name}", as_text=True)


def _in_flags(flags: Mapping[str, object]) -> Iterator[_Given]:
    for name, value in flags.items():
        section, _, key = name.partition(".")
        if section not in READERS or key not in READERS[section]:
            every = [f"{known}.{key}" for known, keys in READERS.items() for key in keys]
            raise UnknownSetting(f"No flag sets {name}; the nearest setting is {_nearest(name, every)}.")
        if value is not None:
            yield _Given(section, key, value, f"The flag for {name}", as_text=isinstance(value, str))


def _refuse_section(section: str, where: str) -> NoReturn:
    nearest = (
        f"the setting of that name is {home}"
        if (home := _home(section))
        else (f"the nearest is [{_nearest(section, READERS)}]")
    )
    raise UnknownSetting(
        f'{where} there is no section "{section}"; {nearest}. Nothing was started. '
        f"The sections are {', '.join(READERS)}."
    )


def _refuse_key(section: str, key: str, where: str) -> NoReturn:
    nearest = (
        f"the setting of that name is {home}"
        if (home := _home(key))
        else (f'the nearest is "{_nearest(key, READERS[section])}"')
    )
    raise UnknownSetting(
        f'{where} there is no setting "{key}" in [{section}]; {nearest}. Nothing was started. '
        f"The keys of [{section}] are {', '.join(READERS[section])}."
    )


def _home(key: str) -> str | None:
    """The setting of this name in whichever section has one."""
    return next((f"{section}.{key}" for section, keys in READERS.items() if key in keys), None)


def _folders_differ(config: Path, project: ProjectSettings) -> None:
    seen: dict[str, str] = {}
    for key in ("workflows", "actions", "agents", "triggers"):
        folder: str = getattr(project, key)
        if folder in seen:
            raise BadSetting(
                f'{config}: project.{key} and project.{seen[folder]} both name the folder "{folder}"; each '
                "kind of definition needs a folder of its own. Nothing was started; change one of them."
            )
        seen[folder] = key


def _nearest(name: str, known: Mapping[str, object] | list[str]) -> str:
    from difflib import get_close_matches  # only a failing start pays for this import

    return get_close_matches(name, list(known), n=1, cutoff=0.0)[0]


def _at(config: Path, line: int | None) -> str:
    return f"{config}:{line}:" if line else f"{config}:"


def _shown(value: object) -> str:
    match value:
        case str():
            text = f'"{value}"'
        case bool():
            text = str(value).lower()
        case _:
            text = str(value)
    return text if len(text) <= 80 else text[:77] + "..."
