"""`ksl credentials`, with a server and without."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.integration.credentials.project import ACTIONS, apart, done, ksl, serving, write_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KSL_HOME", str(tmp_path / "home"))
    return write_project(tmp_path / "demo")


@pytest.fixture(params=["alone", "served"])
def either(request: pytest.FixtureRequest, project: Path) -> Iterator[Path]:
    if request.param == "alone":
        yield project
    else:
        with serving(project):
            yield project


@pytest.mark.process
def test_credentials_are_set_listed_and_removed_and_no_value_is_shown(
    either: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HERE_IS_A_TOKEN", "from-the-environment-1")
    (tmp_path / "password").write_text("from-a-file-1\n")
    assert done(either, "credentials", "list") == {"credentials": [], "not_set": ["slack", "smtp"]}

    first = done(
        either, "credentials", "set", "slack", "--set", "token=@env:HERE_IS_A_TOKEN", "--set", "channel=ops"
    )
    second = done(
        either, "credentials", "set", "smtp", "--set", "user=ada", "--set", f"password=@{tmp_path / 'password'}",
        "--set", "port=587", "--scope", "organization",
    )  # fmt: skip
    third = done(
        either, "credentials", "set", "slack", "--set", "token=-", "--scope", "user", "--user", "ada",
        stdin="from-stdin-1\n",
    )  # fmt: skip

    assert (first["fields"], first["secret"], first["scope"]) == (["channel", "token"], ["token"], "project")
    assert (second["scope"], third["user"]) == ("organization", "ada")
    listed = done(either, "credentials", "list")
    assert [
        (each["name"], each["scope"], each["user"], each["fields"]) for each in listed["credentials"]
    ] == [
        ("slack", "project", None, ["channel", "token"]),
        ("slack", "user", "ada", ["token"]),
        ("smtp", "organization", None, ["password", "port", "user"]),
    ]
    assert listed["not_set"] == []
    assert "from-" not in json.dumps([first, second, third, listed])

    assert (
        done(either, "credentials", "remove", "slack", "--scope", "user", "--user", "ada")["removed"] is True
    )
    again = ksl(either, "credentials", "remove", "slack", "--scope", "user", "--user", "ada")
    assert (again.exit_code, "KSL703" in again.stderr) == (1, True)
    assert len(done(either, "credentials", "list")["credentials"]) == 2


@pytest.mark.process
def test_fields_that_are_left_out_stay_as_they_were(either: Path) -> None:
    done(either, "credentials", "set", "slack", "--set", "token=first-token-abc", "--set", "channel=ops")
    kept = done(either, "credentials", "set", "slack", "--set", "token=second-token-abc")
    assert kept["fields"] == ["channel", "token"]
    assert done(either, "workflows", "run", "identity")["output"] == {"channel": "ops", "length": "16"}


@pytest.mark.process
@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["slak", "--set", "token=a-secret-value"], "KSL703", "Did you mean slack"),
        (["slack", "--set", "tokn=a-secret-value"], "KSL704", "its fields are token, channel"),
        (["slack", "--set", "channel=ops"], "KSL704", "token: Field required"),
        (["smtp", "--set", "password=a-secret-value", "--set", "port=a-secret-value"], "KSL704", "port"),
        (["slack", "--set", "token=a-secret-value", "--scope", "user"], "KSL609", "--user"),
        (["slack", "--set", "token=a-secret-value", "--user", "ada"], "KSL609", "scope user"),
        (["slack", "--set", "token=@env:NOT_THERE_AT_ALL"], "Error", "NOT_THERE_AT_ALL is not set"),
        (["slack", "--set", "token=@/not/there"], "Error", "cannot read /not/there"),
        (["slack", "--set", "token"], "Error", "FIELD=VALUE"),
        (["slack", "--set", "token=-", "--set", "channel=-"], "Error", "one field only"),
    ],
)  # fmt: skip
def test_what_cannot_be_set_is_told_and_changes_nothing(
    project: Path, args: list[str], code: str, words: str
) -> None:
    refused = ksl(project, "credentials", "set", *args)

    assert refused.exit_code in (1, 2)
    assert (code in refused.stderr, words in refused.stderr) == (True, True), refused.stderr
    assert "a-secret-value" not in refused.stderr
    assert done(project, "credentials", "list")["credentials"] == []
    assert not (project / ".ksl" / "key").exists()


def test_a_secret_on_the_command_line_is_warned_of(project: Path) -> None:
    typed = ksl(
        project, "credentials", "set", "slack", "--set", "token=typed-token-1", "--set", "channel=ops"
    )
    assert "token was given on the command line" in typed.stderr
    assert "typed-token-1" not in typed.output
    piped = ksl(
        project, "credentials", "set", "slack", "--set", "token=-", "--set", "channel=ops", stdin="piped-1"
    )
    assert "command line" not in piped.stderr
    short = ksl(project, "credentials", "set", "slack", "--set", "token=-", stdin="12345")
    assert "shorter than 6 characters" in short.stderr


@pytest.mark.process
def test_the_key_is_changed_while_a_server_runs_and_when_none_does(either: Path) -> None:
    before = done(either, "credentials", "set", "slack", "--set", "token=rotated-token-1")["key_id"]
    done(
        either,
        "credentials",
        "set",
        "smtp",
        "--set",
        "user=u",
        "--set",
        "password=rotated-2",
        "--scope",
        "organization",
    )

    rotated = done(either, "credentials", "rotate")
    of_all = done(either, "credentials", "rotate", "--scope", "organization")

    assert (rotated["credentials"], rotated["key_id"] != before) == (1, True)
    assert (of_all["credentials"], of_all["scope"]) == (1, "organization")
    assert done(either, "workflows", "run", "identity")["status"] == "succeeded"


def stored_bytes(project: Path) -> dict[str, bytes]:
    names = ("ksl.db", "ksl.db-wal", "key", "hook-keys", "token")
    return {
        name: (project / ".ksl" / name).read_bytes() for name in names if (project / ".ksl" / name).exists()
    }


@pytest.mark.process
@pytest.mark.parametrize("how", ["variable", "file", "gone", "nonsense"])
def test_another_key_keeps_serve_from_starting_and_changes_nothing(
    project: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    with serving(project) as server:  # killed, so that a WAL is left behind
        done(project, "credentials", "set", "slack", "--set", "token=a-token-of-serve")
        server.run("identity")
    match how:
        case "variable":
            monkeypatch.setenv("KSL_KEY", "11" * 32)
        case "file":
            (project / ".ksl" / "key").write_text("11" * 32)
        case "gone":
            (project / ".ksl" / "key").unlink()
        case _:
            (project / ".ksl" / "key").write_text("hunter2")
    before = stored_bytes(project)
    assert before["ksl.db-wal"]

    refused = [
        apart(project, *args)
        for args in (["serve"], ["workflows", "run", "identity"], ["credentials", "rotate"])
    ]

    for each in refused:
        assert (each.returncode, ("KSL702" if how == "nonsense" else "KSL701") in each.stderr) == (4, True), (
            each.stderr
        )
    assert stored_bytes(project) == before


@pytest.mark.process
def test_a_key_of_the_environment_is_used_and_never_written(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KSL_KEY", "22" * 32)
    done(project, "credentials", "set", "slack", "--set", "token=sealed-by-the-environment")
    assert not (project / ".ksl" / "key").exists()
    with serving(project) as server:
        assert server.run("identity")["status"] == "succeeded"


def test_two_credentials_of_one_name_are_an_error_with_both_places(tmp_path: Path) -> None:
    text = ACTIONS.replace('Credential("smtp"', 'Credential("slack"')
    project = write_project(tmp_path / "demo", actions=text)

    built = ksl(project, "build")

    lines = [
        number for number, line in enumerate(text.lstrip().splitlines(), 1) if 'Credential("slack"' in line
    ]
    assert built.exit_code == 1
    for line in lines:
        assert f"actions/all.py:{line}" in built.output, built.output


@pytest.mark.process
def test_a_step_without_its_credential_fails_once_and_goes_on_when_it_is_set(project: Path) -> None:
    with serving(project) as server:
        run = server.run("identity")
        assert (run["status"], run["error"]["type"], run["error"]["attempts"]) == (
            "failed",
            "MissingCredential",
            1,
        )
        assert "ksl credentials set slack --set token=@env:SLACK_TOKEN" in run["error"]["message"]
        assert run["attempt"] == 1  # the run was not tried again either

        done(project, "credentials", "set", "slack", "--set", "token=set-in-the-meantime")
        server.ask("POST", f"/runs/{run['run_id']}/retry")
        while (run := server.ask("GET", f"/runs/{run['run_id']}"))["status"] in ("queued", "running"):
            pass
        assert (run["status"], run["output"]["length"]) == ("succeeded", "19")

        events = server.ask("GET", f"/runs/{run['run_id']}/events")["events"]
    (completed,) = [event for event in events if event["type"] == "step_completed"]
    key_id = done(project, "credentials", "list")["credentials"][0]["key_id"]
    assert completed["meta"]["credentials"] == [{"name": "slack", "scope": "project", "key_id": key_id}]


@pytest.mark.process
def test_the_organization_is_asked_last_and_a_pinned_scope_alone(project: Path) -> None:
    done(
        project,
        "credentials",
        "set",
        "slack",
        "--set",
        "token=of-the-organization",
        "--scope",
        "organization",
    )
    assert done(project, "workflows", "run", "identity")["output"]["length"] == str(
        len("of-the-organization")
    )
    other = write_project(project.parent / "other")
    assert done(other, "workflows", "run", "identity")["output"]["length"] == str(len("of-the-organization"))

    done(project, "credentials", "set", "slack", "--set", "token=of-this-project")

    assert done(project, "workflows", "run", "identity")["output"]["length"] == str(len("of-this-project"))
    pinned = done(project, "workflows", "run", "of-the-organization")
    assert pinned["output"]["length"] == str(len("of-the-organization"))
    done(project, "credentials", "remove", "slack", "--scope", "organization")
    missing = ksl(project, "workflows", "run", "of-the-organization")
    assert missing.exit_code == 1
    assert "ksl credentials set slack --set token=@env:SLACK_TOKEN --scope organization" in missing.stdout


def test_doctor_says_whether_credentials_can_be_opened_and_by_whom(project: Path) -> None:
    def checks() -> dict[str, tuple[str, str]]:
        found = json.loads(ksl(project, "doctor").stdout)["checks"]
        return {
            each["found"]: (each["level"], each["advice"])
            for each in found
            if each["check"] in ("credentials", "modes")
        }

    assert not [found for found in checks() if found.startswith("1 credential")]
    done(project, "credentials", "set", "slack", "--set", "token=looked-at-by-doctor")
    done(project, "credentials", "set", "slack", "--set", "token=looked-at-too", "--scope", "organization")
    key = project / ".ksl" / "key"
    assert checks()[f"1 credential of the project, opened by {key}"][0] == "ok"
    shared = project.parent / "home" / "key"
    assert checks()[f"1 credential of the organization, opened by {shared}"][0] == "ok"

    shared.chmod(0o644)
    assert checks()[f"{shared} is open to other users (mode 644)"][0] == "fail"
    key.unlink()
    level, advice = checks()["1 credential of the project cannot be opened"]
    assert (level, "holds none" in advice) == ("fail", True)


@pytest.mark.process
def test_over_http_values_go_in_and_never_come_out(project: Path) -> None:
    with serving(project) as server:
        fields = {"user": "ada", "password": "sent-over-http", "port": 587}
        stranger = httpx.post(
            server.http.base_url.join("/credentials"), json={"name": "smtp", "fields": fields}
        )
        assert stranger.status_code == 401
        answers = [server.http.post("/credentials", json={"name": "smtp", "fields": fields})]
        answers.append(server.http.get("/credentials"))
        wrong: list[tuple[dict[str, object], int, str]] = [
            ({"name": "smpt", "fields": fields}, 404, "KSL703"),
            ({"name": "smtp", "fields": {"password": ["sent-over-http"]}}, 422, "KSL704"),
            ({"name": "smtp", "fields": fields, "scope": "everybody"}, 422, "KSL407"),
            ({"name": "smtp", "fields": fields, "scope": "user"}, 400, "KSL609"),
            ({"name": "smtp", "fields": fields, "more": 1}, 422, "KSL407"),
            ({"name": "smtp"}, 422, "KSL407"),
        ]
        for body, status, code in wrong:
            answer = server.http.post("/credentials", json=body)
            assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
            answers.append(answer)
        answers.append(server.http.post("/credentials/rotate"))
        answers.append(server.http.delete("/credentials/smtp", params={"scope": "organization"}))
        answers.append(server.http.delete("/credentials/smtp"))
        assert [answer.status_code for answer in answers[-3:]] == [200, 404, 200]
        assert server.ask("GET", "/credentials") == {"credentials": [], "not_set": ["slack", "smtp"]}
    assert answers[0].json()["fields"] == ["password", "port", "user"]
    assert not [answer.text for answer in answers if "sent-over-http" in answer.text]


@pytest.mark.process
def test_a_subscribers_run_acts_with_the_subscribers_own(project: Path) -> None:
    (project / "workflows" / "digest.py").write_text(
        "from ksl import Context, workflow\n\nfrom actions.all import who\n\n\n"
        '@workflow(subscription="subscribable")\nasync def digest(ctx: Context) -> dict[str, str]:\n'
        "    return await who.run()\n"
    )
    (project / "triggers").mkdir()
    (project / "triggers" / "all.py").write_text(
        "from ksl import CronSource\n\nfrom workflows.digest import digest\n\n"
        'CronSource(slug="daily", schedule="0 9 * * *").attach(digest)\n'
    )
    done(project, "credentials", "set", "slack", "--set", "token=of-the-project")
    done(project, "credentials", "set", "slack", "--set", "token=ada", "--scope", "user", "--user", "ada")
    with serving(project) as server:
        for user in ("ada", "eve"):
            done(project, "subscriptions", "add", "digest", user)
        server.ask("POST", "/triggers/daily/invoke")
        while len(runs := server.ask("GET", "/runs", params={"status": "succeeded"})["runs"]) < 2:
            assert not server.ask("GET", "/runs", params={"status": "failed"})["runs"]
    assert {run["subscriber"]: run["output"]["length"] for run in runs} == {"ada": "3", "eve": "14"}
