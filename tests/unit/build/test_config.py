from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from ksl.build.config import find_project, is_loopback, load_settings
from ksl.build.settings_values import READERS
from ksl.errors import BadSetting, ConfigUnreadable, NotAProject, UnknownSetting


def project(folder: Path, text: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ksl.toml").write_text(text, encoding="utf-8")
    return folder


def test_an_empty_file_means_every_default(tmp_path: Path) -> None:
    settings = load_settings(project(tmp_path / "demo"), {}, {})

    assert settings.folder == tmp_path / "demo"
    assert settings.project.name == "demo"
    assert (settings.project.workflows, settings.project.actions) == ("workflows", "actions")
    assert (settings.server.host, settings.server.port, settings.server.public_url) == ("127.0.0.1", 7420, "")
    assert settings.store.path == tmp_path / "demo/.ksl/ksl.db"
    assert settings.data_folder == tmp_path / "demo/.ksl"
    assert settings.store.durability == "full"
    assert settings.queue.concurrency == 256
    assert settings.queue.backlog == 100_000
    assert settings.retention.finished_runs == 30 * 86_400
    assert settings.limits.body == 1 << 20
    assert settings.limits.payload == 32 << 20
    assert settings.limits.steps == 100_000
    assert settings.models.default == ""


def test_every_key_can_be_set_in_the_file(tmp_path: Path) -> None:
    text = """
    [project]
    name = "mill"
    workflows = "app/flows"
    actions = "deeds"
    agents = "minds"
    triggers = "bells"
    [server]
    host = "::1"
    port = 0
    public_url = "https://ksl.example.org/base/"
    [store]
    path = "/var/lib/mill.db"
    durability = "process"
    [queue]
    concurrency = 4
    [retention]
    finished_runs = 0
    [limits]
    body = "64KiB"
    payload = 2048
    steps = 10
    [models]
    default = "test/echo"
    """
    settings = load_settings(project(tmp_path, text), {}, {})

    assert settings.project.workflows == "app/flows"
    assert settings.server.public_url == "https://ksl.example.org/base"
    assert settings.store.path == Path("/var/lib/mill.db")
    assert settings.retention.finished_runs == 0
    assert (settings.limits.body, settings.limits.payload, settings.limits.steps) == (65_536, 2048, 10)
    assert settings.models.default == "test/echo"


def test_a_flag_beats_a_variable_beats_the_file_beats_the_default(tmp_path: Path) -> None:
    folder = project(tmp_path, "[server]\nport = 1\n")
    env = {"KSL_SERVER_PORT": "2"}

    def port(env: dict[str, str], flags: dict[str, object]) -> int:
        return load_settings(folder, env, flags).server.port

    assert port({}, {}) == 1
    assert port(env, {}) == 2
    assert port(env, {"server.port": 3}) == 3
    assert port(env, {"server.port": None}) == 2
    assert port({"KSL_SERVER_PORT": ""}, {}) == 1


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("KSL_PROJECT_NAME", "mill", "mill"),
        ("KSL_SERVER_PUBLIC_URL", "http://a:1", "http://a:1"),
        ("KSL_STORE_PATH", "/data/x.db", Path("/data/x.db")),
        ("KSL_QUEUE_CONCURRENCY", "8", 8),
        ("KSL_RETENTION_FINISHED_RUNS", "12h", 43_200.0),
        ("KSL_RETENTION_FINISHED_RUNS", "0", 0.0),
        ("KSL_LIMITS_PAYLOAD", "4096", 4096),
        ("KSL_LIMITS_STEPS", "100_000", 100_000),
    ],
)
def test_a_variable_sets_its_key(tmp_path: Path, name: str, value: str, meant: object) -> None:
    settings = load_settings(project(tmp_path), {name: value}, {})
    section, _, key = name.removeprefix("KSL_").lower().partition("_")
    assert getattr(getattr(settings, section), key) == meant


def test_variables_that_name_no_section_are_left_alone(tmp_path: Path) -> None:
    env = {
        "KSL_URL": "x",
        "KSL_TOKEN": "x",
        "KSL_KEY": "x",
        "KSL_HOME_DIR": "x",
        "SERVER_PORT": "x",
        "KSL_": "x",
    }
    assert load_settings(project(tmp_path), env, {}).server.port == 7420


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("[server]\nhost = '::1'\nprot = 1\n", 3, ['"prot"', "[server]", 'the nearest is "port"']),
        ("[store]\n\n# a comment\nport = 1\n", 4, ["server.port"]),
        ("[sever]\nport = 1\n", 1, ['"sever"', "the nearest is [server]"]),
        ("port = 1\n", 1, ["server.port"]),
        ("server = { prot = 1 }\n", 1, ['"prot"', '"port"']),
        ("server.prot = 1\n", 1, ['"prot"', '"port"']),
        ("[server]\nport = 1\n[store.more]\nx = 1\n", 3, ['"more"', "[store]"]),
    ],
)
def test_an_unknown_key_names_its_line_and_the_nearest_known_one(
    tmp_path: Path, text: str, line: int, says: list[str]
) -> None:
    with pytest.raises(UnknownSetting) as refused:
        load_settings(project(tmp_path, text), {}, {})
    assert str(refused.value).startswith(f"{tmp_path}/ksl.toml:{line}: ")
    for part in says:
        assert part in str(refused.value)


def test_an_unknown_key_that_cannot_be_found_by_line_still_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(UnknownSetting, match=re.escape(f'{tmp_path}/ksl.toml: there is no setting "prot"')):
        load_settings(project(tmp_path, '["server"]\nprot = 1\n'), {}, {})


def test_an_unknown_variable_of_a_known_section_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownSetting, match=r"KSL_SERVER_PROT.*nearest is KSL_SERVER_PORT"):
        load_settings(project(tmp_path), {"KSL_SERVER_PROT": "1"}, {})


def test_an_unknown_flag_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownSetting, match=r"nearest setting is server\.port"):
        load_settings(project(tmp_path), {}, {"server.prot": 1})


@pytest.mark.parametrize(
    ("section", "line", "accepted"),
    [
        ("project", 'name = " "', "a name in quotes"),
        ("project", 'workflows = "../flows"', "a folder below the project"),
        ("project", 'workflows = "my flows"', "a folder below the project"),
        ("server", 'host = ""', "a host name or an address"),
        ("server", 'host = "http://x"', "a host name or an address"),
        ("server", 'port = "7420"', "a whole number from 0 to 65535"),
        ("server", "port = 65536", "a whole number from 0 to 65535"),
        ("server", "port = true", "a whole number from 0 to 65535"),
        ("server", 'public_url = "ksl.example.org"', 'an address like "https://'),
        ("server", 'public_url = "http://a:b"', 'an address like "https://'),
        ("server", 'public_url = "http://a/?q=1"', 'an address like "https://'),
        ("store", 'path = ""', "the path of a file"),
        ("store", 'path = "/"', "the path of a file"),
        ("store", "path = 1", "the path of a file"),
        ("store", 'durability = "some"', '"full" or "process"'),
        ("queue", "concurrency = 0", "a whole number from 1"),
        ("queue", "backlog = 0", "a whole number from 1"),
        ("retention", 'finished_runs = "a month"', "a duration like"),
        ("retention", "finished_runs = -1", "a duration like"),
        ("retention", "finished_runs = nan", "a duration like"),
        ("limits", 'body = "big"', "a size like"),
        ("limits", 'payload = "1GiB"', "from 1KiB to 512MiB"),
        ("limits", "steps = 1.5", "a whole number from 1"),
        ("models", "default = 1", "text in quotes"),
    ],
)
def test_a_bad_value_names_its_line_its_key_and_what_is_accepted(
    tmp_path: Path, section: str, line: str, accepted: str
) -> None:
    key = line.partition(" ")[0]
    with pytest.raises(BadSetting) as refused:
        load_settings(project(tmp_path, f"[{section}]\n{line}\n"), {}, {})
    assert str(refused.value).startswith(f"{tmp_path}/ksl.toml:2: {section}.{key} is ")
    assert accepted in str(refused.value)


def test_a_bad_variable_names_itself(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match='KSL_SERVER_PORT is "abc"; it takes a whole number from 0 to 65535'):
        load_settings(project(tmp_path), {"KSL_SERVER_PORT": "abc"}, {})


def test_a_value_where_a_section_belongs_says_how_to_write_it(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match=r"ksl\.toml:1: server is 7420, but server is a section"):
        load_settings(project(tmp_path, "server = 7420\n"), {}, {})


def test_two_kinds_of_definition_in_one_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match=r"project\.actions and project\.workflows both name"):
        load_settings(project(tmp_path, '[project]\nactions = "workflows"\n'), {}, {})


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"[server]\nport = \n", ":2:8: "),
        (b"[server\n", ":1:8: "),
        (b'[server]\nhost = "', ":2:9: "),
        (b"[server]\nport = 1\nport = 2\n", ":3:9: "),
        (b"a = 1\nb = '\xff'\n", ":2:6: "),
    ],
)
def test_a_file_that_is_not_toml_names_line_and_column(tmp_path: Path, content: bytes, place: str) -> None:
    (tmp_path / "ksl.toml").write_bytes(content)
    with pytest.raises(ConfigUnreadable) as refused:
        load_settings(tmp_path, {}, {})
    assert str(refused.value).startswith(f"{tmp_path}/ksl.toml{place}")


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    (tmp_path / "ksl.toml").mkdir()
    with pytest.raises(ConfigUnreadable, match=r"ksl\.toml cannot be read: Is a directory"):
        load_settings(tmp_path, {}, {})


def test_a_folder_without_the_file_is_not_a_project(tmp_path: Path) -> None:
    with pytest.raises(NotAProject, match="ksl init"):
        load_settings(tmp_path, {}, {})


def test_the_project_is_the_nearest_folder_with_the_file(tmp_path: Path) -> None:
    outer = project(tmp_path / "outer")
    inner = project(outer / "a/inner")
    (inner / "workflows").mkdir()

    assert find_project(inner / "workflows") == inner
    assert find_project(outer / "a") == outer


def test_outside_every_project_the_way_in_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotAProject, match=rf"no ksl\.toml in {re.escape(str(tmp_path))}.*ksl init"):
        find_project(tmp_path)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost", "LOCALHOST", "::ffff:127.0.0.1"]
)
def test_a_loopback_host_is_known_as_one(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "", "example.org", "localhost.example.org"])
def test_any_other_host_is_not_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_this_repository_s_own_file_sets_every_key_to_its_default(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    ours = load_settings(root, {}, {})
    plain = load_settings(project(tmp_path, '[project]\nname = "ksl-examples"\n'), {}, {})

    assert ours.store.path.relative_to(root) == plain.store.path.relative_to(tmp_path)
    for section in ("project", "server", "queue", "retention", "limits", "models"):
        assert getattr(ours, section) == getattr(plain, section)
    table = tomllib.loads((root / "ksl.toml").read_text(encoding="utf-8"))
    assert {section: list(keys) for section, keys in table.items()} == {
        section: list(keys) for section, keys in READERS.items()
    }
