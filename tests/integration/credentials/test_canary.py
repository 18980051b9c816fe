"""A secret that actions spread on purpose is found nowhere afterwards, in any of the usual encodings."""

from __future__ import annotations

import base64
import json
import sqlite3
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.integration.credentials.project import Json, Server, apart, ksl, serving, write_project

pytestmark = pytest.mark.process

CANARY = 'canary/7f+Q3z"k\\9%w-Lm2'


def signs(secret: str) -> set[bytes]:
    """What would give it away; written anew here, so that a mistake of the redactor's is not made twice."""
    data = secret.encode()
    found = {
        secret,
        json.dumps(secret)[1:-1],
        quote(secret),
        quote(secret, safe=""),
        data.hex(),
        data.hex().upper(),
    }
    for before in range(3):
        text = base64.b64encode(b"\0" * before + data).decode()
        core = text[4 if before else 0 : len(text) // 4 * 4 - 4]
        found |= {core, core.replace("+", "-").replace("/", "_")}
    # A part is as good as the whole for noticing.
    found |= {"7f+Q3z", "7f%2BQ3z", "w-Lm2"}
    return {sign.encode() for sign in found}


def assert_clean(where: str, content: bytes) -> None:
    for sign in signs(CANARY):
        at = content.find(sign)
        assert at < 0, f"{sign!r} in {where}: {content[max(at - 200, 0) : at + 100]!r}"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KSL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CANARY", CANARY)
    write_project(tmp_path / "demo")
    return tmp_path / "demo"


def spread(server: Server) -> list[Json]:
    runs = [server.run(name) for name in ("identity", "threaded", "leaking", "failing", "unreachable")]
    asking = server.ask(
        "POST",
        "/workflows/asking",
        json={"guess": CANARY, CANARY: base64.b64encode(CANARY.encode()).decode()},
    )
    run_id = asking["run_id"]
    while not server.ask("GET", "/hooks", params={"run_id": run_id})["hooks"]:
        pass
    server.ask("POST", f"/runs/{run_id}/hooks/resume", json={"payload": f"yes, {CANARY}"})
    while server.ask("GET", f"/runs/{run_id}")["status"] != "succeeded":
        pass
    return [*runs, server.ask("GET", f"/runs/{run_id}")]


def test_a_secret_that_is_spread_is_found_nowhere(project: Path) -> None:
    set_so = ksl(project, "credentials", "set", "slack", "--set", "token=@env:CANARY", "--set", "channel=ops")
    assert set_so.exit_code == 0, set_so.stderr

    with serving(project, KSL_DEBUG="1") as server:
        runs = spread(server)
        answers: list[bytes] = []
        for run in runs:
            path = f"/runs/{run['run_id']}"
            answers.append(server.http.get(path, params={"include": "events,steps,trace,logs"}).content)
            answers.append(server.http.get(f"{path}/trace").content)
            with server.http.stream("GET", f"{path}/stream") as stream:
                answers.append(stream.read())
        answers += [server.http.get(path).content for path in ("/runs", "/hooks", "/credentials", "/metrics")]
        wrong_fields = {"user": "u", "password": CANARY, "port": CANARY}
        wrong = server.http.post("/credentials", json={"name": "smtp", "fields": wrong_fields})
        answers.append(wrong.content)
        printed = [
            apart(project, "runs", "show", run["run_id"], "--include", "events,steps,trace") for run in runs
        ]
        printed += [apart(project, "runs", "tail", runs[2]["run_id"]), apart(project, "credentials", "list")]

    # Each way was gone indeed: the masks are there, and the steps had the secret.
    statuses = [run["status"] for run in runs]
    assert statuses == ["succeeded", "succeeded", "succeeded", "failed", "failed", "succeeded"]
    assert runs[0]["output"] == {"channel": "ops", "length": str(len(CANARY))}
    assert runs[2]["output"]["plain"] == "[redacted:slack]"
    assert runs[2]["output"]["url"] == "https://example.test/?token=[redacted:slack]"
    assert "[redacted:slack]" in runs[3]["error"]["message"]
    assert runs[5]["output"][0]["guess"] == "[redacted:slack]"
    assert runs[5]["output"][1] == "yes, [redacted:slack]"
    assert wrong.status_code == 422
    assert all(result.returncode in (0, 1) for result in printed), [result.stderr for result in printed]

    said = "".join(server.said)
    assert "credential used" in said
    assert said.count("[redacted:slack]") >= 3
    assert_clean("the server's log", said.encode())
    for answer in answers:
        assert_clean("an answer", answer)
    for result in printed:
        assert_clean("a command's output", (result.stdout + result.stderr).encode())
    files = [path for path in project.rglob("*") if path.is_file() and ".ksl" in path.parts]
    assert {"ksl.db", "ksl.db-wal", "key"} <= {path.name for path in files}
    for path in files:
        assert_clean(str(path), path.read_bytes())


def test_what_was_recorded_before_a_secret_was_known_is_masked_in_answers(project: Path) -> None:
    input = json.dumps({"guess": CANARY})
    before = json.loads(apart(project, "workflows", "run", "asking", "--input", input, "--detach").stdout)
    content = b"".join(path.read_bytes() for path in (project / ".ksl").glob("ksl.db*"))
    assert b"7f+Q3z" in content  # nothing was known of it then

    assert ksl(project, "credentials", "set", "slack", "--set", "token=@env:CANARY").exit_code == 0

    with serving(project) as server:
        while not server.ask("GET", "/hooks")["hooks"]:
            pass
        for path in ("/runs", f"/runs/{before['run_id']}?include=events", "/hooks"):
            assert_clean(path, server.http.get(path).content)
        url = server.ask("GET", "/hooks")["hooks"][0]["url"]
        page = server.http.get(url, headers={"Accept": "text/html"})
        assert "[redacted:slack]" in page.text
        assert_clean("the hook's page", page.content)
    shown = apart(project, "runs", "show", before["run_id"], "--include", "events")
    assert "[redacted:slack]" in shown.stdout
    assert_clean("what is read without a server", shown.stdout.encode())


def test_a_run_with_masked_values_is_replayed_and_not_held(project: Path) -> None:
    """Inputs of steps are recorded masked, and the code asks with what it has: that is no drift."""
    (project / "workflows" / "all.py").write_text(
        "import os\nfrom typing import Any\n\nfrom ksl import Context, workflow\n\n"
        "from actions.all import echo, who\n\n\n"
        "@workflow\nasync def constant(ctx: Context) -> Any:\n"
        "    await who.run()\n"
        f"    got = await echo.run({{'inner': [{CANARY!r}, 1.50, 'ü']}})\n"
        "    answer = await ctx.hook(title='Go on?')\n"
        f"    return [got, await echo.run({CANARY!r}), answer]\n"
    )
    assert ksl(project, "credentials", "set", "slack", "--set", "token=@env:CANARY").exit_code == 0
    with serving(project) as server:
        run_id = server.ask("POST", "/workflows/constant")["run_id"]
        while not server.ask("GET", "/hooks")["hooks"]:
            pass

    with serving(project) as server:
        server.ask("POST", f"/runs/{run_id}/hooks/resume", json={"payload": 1})
        while (run := server.ask("GET", f"/runs/{run_id}"))["status"] in ("running", "waiting"):
            pass

    assert (run["status"], run["error"]) == ("succeeded", None)
    assert run["output"] == [{"inner": ["[redacted:slack]", 1.5, "ü"]}, "[redacted:slack]", 1]
    with sqlite3.connect(project / ".ksl" / "ksl.db") as connection:
        (inputs,) = connection.execute("SELECT group_concat(input) FROM event").fetchone()
    connection.close()
    assert_clean("the inputs of steps", inputs.encode())
