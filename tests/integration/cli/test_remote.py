"""Commands against a server, told by the bytes they send and print."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ksl.cli.app import cli

from tests.integration.cli.conftest import TinyServer, event_json, run_json, stream

DONE = run_json("succeeded", output={"message": "Hello, Ada"})


def ksl(*args: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(cli, args, input=stdin, catch_exceptions=False)


def test_a_run_that_ends_prints_its_output(tiny: TinyServer):
    tiny.answers |= {"POST /workflows/greeting": (200, DONE), "GET /runs/run_1": (200, DONE)}
    tiny.answers["GET /runs/run_1/stream"] = (204, "")
    done = ksl("workflows", "run", "greeting", "--input", '{"name":"Ada"}')
    assert done.stdout == '{"run_id": "run_1", "status": "succeeded", "output": {"message": "Hello, Ada"}}\n'
    assert (done.exit_code, done.stderr) == (0, "")
    asked = tiny.said[0]
    assert (asked.body, asked.headers["Authorization"]) == (b'{"name":"Ada"}', "Bearer sesame")


def test_a_run_that_takes_longer_is_followed_to_its_end(tiny: TinyServer):
    tiny.answers |= {
        "POST /workflows/greeting": (202, {"run_id": "run_1", "status": "running"}),
        "GET /runs/run_1": [(200, run_json("running")), (200, DONE)],
        "GET /runs/run_1/stream": (200, stream(event_json(1, "run_created"), event_json(2, "run_completed"))),
    }
    done = ksl("workflows", "run", "greeting")
    assert json.loads(done.stdout)["output"] == {"message": "Hello, Ada"}


def test_a_failed_run_exits_1_with_its_error(tiny: TinyServer):
    failed = run_json("failed", error={"type": "ValueError", "message": "no"})
    tiny.answers |= {"POST /workflows/greeting": (200, failed), "GET /runs/run_1": (200, failed)}
    tiny.answers["GET /runs/run_1/stream"] = (204, "")
    done = ksl("workflows", "run", "greeting")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["error"]["message"] == "no"


def test_a_run_that_waits_exits_3_and_says_how_to_go_on(tiny: TinyServer):
    waiting = run_json("waiting", waiting_on=[{"kind": "hook", "step": "approve#0"}])
    tiny.answers |= {
        "POST /workflows/greeting": (202, {"run_id": "run_1", "status": "waiting"}),
        "GET /runs/run_1": (200, waiting),
        "GET /runs/run_1/stream": (200, stream(event_json(1, "run_created"))),
        "GET /hooks": (200, {"hooks": [{"step": "approve#0"}]}),
    }
    done = ksl("workflows", "run", "greeting")
    assert done.exit_code == 3
    assert json.loads(done.stdout) == {
        "run_id": "run_1",
        "status": "waiting",
        "waiting_on": [{"kind": "hook", "step": "approve#0"}],
    }
    assert "ksl hooks resume run_1 --data JSON" in done.stderr
    # Another hook is open that the body does not wait for yet: without its name an answer would be for none.
    tiny.answers["GET /hooks"] = (200, {"hooks": [{"step": "approve#0"}, {"step": "later#0"}]})
    assert "ksl hooks resume run_1 --step approve#0 --data JSON" in ksl("workflows", "run", "greeting").stderr


def test_detached_a_run_is_stored_and_left(tiny: TinyServer):
    tiny.answers["POST /workflows/greeting"] = (202, {"run_id": "run_1", "status": "queued"})
    done = ksl("workflows", "run", "greeting", "--detach")
    assert (done.exit_code, done.stdout) == (0, '{"run_id": "run_1", "status": "queued"}\n')
    assert [each.path for each in tiny.said] == ["/workflows/greeting"]


def test_a_repeated_key_says_that_it_is_the_first_run(tiny: TinyServer):
    tiny.answers["POST /workflows/greeting"] = (200, DONE)
    done = ksl("workflows", "run", "greeting", "--detach", "--idempotency-key", "k 1")
    assert "used before" in done.stderr
    assert tiny.said[0].headers["Idempotency-Key"] == "k 1"


def test_an_invalid_input_names_the_field_and_exits_1(tiny: TinyServer):
    errors = [{"loc": ["name"], "msg": "Field required"}]
    tiny.answers["POST /workflows/greeting"] = (
        422,
        {"code": "KSL407", "detail": "The input does not fit.", "errors": errors},
    )
    done = ksl("workflows", "run", "greeting", "--input", "{}")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "name: Field required" in done.stderr
    assert "`ksl explain KSL407` says more" in done.stderr


def test_an_unknown_slug_is_a_usage_error(tiny: TinyServer):
    tiny.answers["POST /workflows/greting"] = (404, {"code": "KSL400", "detail": "None. Near: greeting."})
    done = ksl("workflows", "run", "greting")
    assert (done.exit_code, "greeting" in done.stderr) == (2, True)


def test_input_comes_from_a_file_or_stdin(tiny: TinyServer, tmp_path_factory: pytest.TempPathFactory):
    tiny.answers["POST /workflows/greeting"] = (202, {"run_id": "run_1", "status": "queued"})
    file = tmp_path_factory.mktemp("input") / "in.json"
    file.write_bytes(b'{"from": "file"}')
    ksl("workflows", "run", "greeting", "--detach", "--input", f"@{file}")
    ksl("workflows", "run", "greeting", "--detach", "--input", "-", stdin='{"from": "stdin"}')
    assert [each.body for each in tiny.said] == [b'{"from": "file"}', b'{"from": "stdin"}']
    missing = ksl("workflows", "run", "greeting", "--input", f"@{file}.not")
    assert (missing.exit_code, "No such file" in missing.stderr) == (2, True)


def test_a_wrong_token_exits_4(tiny: TinyServer):
    tiny.answers["GET /runs"] = (401, {"code": "KSL600", "detail": "No valid token."})
    assert ksl("runs", "list").exit_code == 4


def test_nobody_at_the_address_exits_4(monkeypatch: pytest.MonkeyPatch):
    # port 1 needs privileges to listen on, so nobody does
    done = ksl("--url", "http://127.0.0.1:1", "runs", "list")
    assert (done.exit_code, done.stdout) == (4, "")
    assert "KSL606 No ksl server answers at http://127.0.0.1:1" in done.stderr
    assert "Nothing was asked." in done.stderr


def test_an_address_that_is_none_is_a_usage_error():
    assert ksl("--url", "nonsense", "runs", "list").exit_code == 2


def test_runs_are_listed_over_pages_up_to_the_limit(tiny: TinyServer):
    tiny.answers["GET /runs"] = [
        (200, {"runs": [run_json("failed")] * 100, "next_cursor": "c1"}),
        (200, {"runs": [run_json("failed")] * 20, "next_cursor": "c2"}),
    ]
    done = ksl(
        "runs", "list", "--limit", "120", "--status", "failed", "--workflow", "greeting", "--since", "2h"
    )
    answer = json.loads(done.stdout)
    assert (len(answer["runs"]), answer["next_cursor"]) == (120, "c2")
    assert [each.path for each in tiny.said] == [
        "/runs?workflow=greeting&status=failed&since=2h&limit=100",
        "/runs?workflow=greeting&status=failed&since=2h&limit=20&cursor=c1",
    ]


def test_one_field_of_a_run_comes_bare(tiny: TinyServer):
    tiny.answers["GET /runs/run_1"] = (200, DONE)
    assert ksl("runs", "show", "run_1", "--field", "status").stdout == "succeeded\n"
    assert ksl("runs", "show", "run_1", "--field", "output.message", "--json").stdout == '"Hello, Ada"\n'
    assert ksl("runs", "show", "run_1", "--field", "output").stdout == '{"message": "Hello, Ada"}\n'
    missing = ksl("runs", "show", "run_1", "--field", "outptu")
    assert (missing.exit_code, missing.stdout) == (2, "")


def test_a_summary_leaves_out_what_may_be_large(tiny: TinyServer):
    tiny.answers["GET /runs/run_1"] = (200, DONE)
    summary = json.loads(ksl("runs", "show", "run_1", "--summary").stdout)
    assert summary["status"] == "succeeded"
    assert not {"input", "output"} & set(summary)


def test_what_is_to_be_included_is_asked_for(tiny: TinyServer):
    tiny.answers["GET /runs/run_1"] = (200, DONE)
    ksl("runs", "show", "run_1", "--include", "events,steps")
    assert tiny.said[0].path == "/runs/run_1?include=events%2Csteps"
    assert ksl("runs", "show", "run_1", "--include", "evnts").exit_code == 2


def test_tail_prints_each_event_once_and_ends_with_the_run(tiny: TinyServer):
    # A run that a person retried has an end in its middle; and the stream breaks off right there.
    first = (event_json(1, "run_created"), event_json(2, "run_failed"))
    tiny.answers |= {
        "GET /runs/run_1": (200, DONE),
        "GET /runs/run_1/stream": [
            (200, stream(*first)),
            (200, stream(*first, event_json(3, "run_retrying"), event_json(4, "run_completed"))),
        ],
        "GET /runs/run_1/events": [(200, {"events": [event_json(3, "run_retrying")]}), (200, {"events": []})],
    }
    done = ksl("runs", "tail", "run_1")
    assert [json.loads(line)["seq"] for line in done.stdout.splitlines()] == [1, 2, 3, 4]
    assert done.exit_code == 0


def test_a_hook_is_answered_by_run_and_by_token(tiny: TinyServer):
    waiting = {"hooks": [{"run_id": "run_1", "url": "http://127.0.0.1:7420/hooks/tok"}]}
    tiny.answers |= {
        "POST /runs/run_1/hooks/resume": (200, {"run_id": "run_1", "status": "resumed"}),
        "POST /runs/run_1/hooks/reject": (200, {"run_id": "run_1", "status": "rejected"}),
        "POST /hooks/tok": (200, {"status": "resumed"}),
        "GET /hooks": (200, waiting),
        "GET /runs/run_1": (200, DONE),
    }
    for args in (
        ("resume", "run_1", "--step", "approve#0", "--data", '{"ok": true}'),
        ("resume", "tok", "--data", '{"ok": true}'),
        ("reject", "run_1", "--reason", "no"),
    ):
        done = ksl("hooks", *args)
        assert (done.exit_code, json.loads(done.stdout)["run_id"]) == (0, "run_1"), done.stderr
    posted = [(each.path, json.loads(each.body)) for each in tiny.said if each.method == "POST"]
    assert posted == [
        ("/runs/run_1/hooks/resume", {"step": "approve#0", "payload": {"ok": True}}),
        ("/hooks/tok", {"ok": True}),
        ("/runs/run_1/hooks/reject", {"step": None, "reason": "no"}),
    ]


def test_a_payload_that_is_not_one_json_value_is_not_sent(tiny: TinyServer):
    for data in ("approved", '1, "step": "other#0"'):
        done = CliRunner().invoke(cli, ["hooks", "resume", "run_1", "--data", data])
        assert (done.exit_code, "KSL604 the payload is not JSON" in done.stderr) == (2, True)
    assert tiny.said == []


def test_a_run_is_cancelled_and_printed_as_it_stands(tiny: TinyServer):
    tiny.answers |= {
        "POST /runs/run_1/cancel": (202, {"run_id": "run_1", "status": "running"}),
        "POST /runs/run_1/retry": (409, {"code": "KSL409", "detail": "The run has not failed."}),
        "GET /runs/run_1": (200, run_json("running")),
    }
    done = ksl("runs", "cancel", "run_1", "--reason", "late", "--force")
    assert (done.exit_code, json.loads(done.stdout)["status"]) == (0, "running")
    assert json.loads(tiny.said[0].body) == {"reason": "late", "force": True}
    assert ksl("runs", "retry", "run_1").exit_code == 1


def test_the_project_s_token_goes_to_no_other_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    from ksl.cli.connect import _token_for  # pyright: ignore[reportPrivateUsage]
    from ksl.cli.invocation import Invocation

    monkeypatch.delenv("KSL_TOKEN", raising=False)
    (tmp_path / "ksl.toml").write_text("")
    (tmp_path / ".ksl").mkdir()
    (tmp_path / ".ksl" / "token").write_text("secret\n")
    here = Invocation(folder=tmp_path)
    assert _token_for("http://127.0.0.1:9", here) == "secret"
    assert _token_for("https://example.org", here) is None
