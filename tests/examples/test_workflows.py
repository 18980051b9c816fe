from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import pytest

from ksl.errors import InvalidInput

from actions.shop import open_shop
from tests.examples.conftest import Repo
from tests.examples.engine import Engine, Json, completed, engine_on


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncGenerator[Engine]:
    async with engine_on(tmp_path / "data") as engine:
        yield engine


async def test_a_greeting_greets(engine: Engine) -> None:
    run = await engine.run("greeting", {"name": "Ada"})
    assert (run["status"], run["output"]) == ("succeeded", {"message": "Hello, Ada"})
    assert completed(run) == ["compose-greeting#0"]


async def test_a_greeting_of_nobody_is_refused_and_makes_no_run(engine: Engine) -> None:
    with pytest.raises(InvalidInput, match="name"):
        await engine.run("greeting", {"name": ""})


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KSL_REPORTS", str(tmp_path / "reports"))
    return tmp_path / "reports"


FOUR_QUESTIONS = {"commits-by-author#0", "churn-by-file#0", "commits-by-weekday#0", "biggest-files#0"}


async def test_a_short_history_is_reported_without_asking(engine: Engine, repo: Repo, reports: Path) -> None:
    run = await engine.run("repo-report", {"path": str(repo.root), "pause": "10ms"})
    path = reports / "repo-report.md"
    assert (run["status"], run["output"]) == (
        "succeeded",
        {
            "outcome": "written",
            "detail": f"{path.stat().st_size:,} bytes about 3 commits.",
            "report": str(path),
            "commits": 3,
            "people": 2,
            "files_changed": 3,
            "lines_added": 5,
            "lines_removed": 1,
        },
    )
    assert path.read_text().startswith("# garden: what its history says\n")
    steps = completed(run)
    assert (steps[0], set(steps[1:5]), steps[5:]) == ("open-repository#0", FOUR_QUESTIONS, ["write-report#0"])


async def test_a_long_history_is_reported_once_a_person_agrees(
    engine: Engine, repo: Repo, reports: Path
) -> None:
    run = await engine.run("repo-report", {"path": str(repo.root), "pause": "10ms", "approval_above": 2})
    assert run["status"] == "waiting"
    assert not reports.exists()
    run = await engine.answer(run["run_id"], {"approved": True})
    assert run["output"]["outcome"] == "written"
    assert Path(run["output"]["report"]).is_file()


@pytest.mark.parametrize(
    ("reject", "detail"), [(True, "Rejected: not today."), (False, "Not approved: too soon.")]
)
async def test_without_consent_nothing_is_written(
    engine: Engine, repo: Repo, reports: Path, reject: bool, detail: str
) -> None:
    run = await engine.run("repo-report", {"path": str(repo.root), "pause": "10ms", "approval_above": 0})
    if reject:
        run = await engine.reject(run["run_id"], "not today")
    else:
        run = await engine.answer(run["run_id"], {"approved": False, "note": "too soon"})
    assert run["status"] == "succeeded"
    assert (run["output"]["outcome"], run["output"]["detail"], run["output"]["report"]) == (
        "declined",
        detail,
        None,
    )
    assert not reports.exists()


async def test_consent_may_be_waited_for_in_vain(engine: Engine, repo: Repo, reports: Path) -> None:
    wanted = {"path": str(repo.root), "pause": "10ms", "approval_above": 0, "approve_within": "0s"}
    run_id = await engine.start("repo-report", wanted)
    await engine.runtime.settled(run_id, timeout_s=60.0)
    run = await engine.shown(run_id)
    assert run["output"]["detail"] == "Nobody answered within 0s."


async def test_a_repository_without_commits_is_no_failure(
    engine: Engine, new_repo: Callable[[str], Repo], reports: Path
) -> None:
    run = await engine.run("repo-report", {"path": str(new_repo("empty").root)})
    assert (run["status"], run["output"]["outcome"]) == ("succeeded", "empty")
    assert "no commits yet" in run["output"]["detail"]


async def test_a_folder_that_is_no_repository_fails_the_run_at_once(engine: Engine, tmp_path: Path) -> None:
    run = await engine.run("repo-report", {"path": str(tmp_path / "missing")})
    assert (run["status"], run["attempt"], run["error"]["step"]) == ("failed", 1, "open-repository#0")
    assert "missing is not a folder" in run["error"]["message"]


@pytest.mark.parametrize("output", ["/x.md", "..\\\\x.md", "x.txt", ".hidden.md", ""])
async def test_a_report_name_that_cannot_be_is_refused_before_the_run(engine: Engine, output: str) -> None:
    with pytest.raises(InvalidInput, match="output"):
        await engine.run("repo-report", {"output": output})


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    customers = {"Ada": (4000, "DE"), "Bob": (100, "DE"), "Nemo": (9000, "AQ")}
    return open_shop(folder, stock={"kite": (1500, 3)}, customers=customers)


def deeds(shop: Path) -> list[str]:
    database = sqlite3.connect(shop)
    try:
        return [kind for (kind,) in database.execute("SELECT kind FROM deed ORDER BY rowid")]
    finally:
        database.close()


def ordered(shop: Path, customer: str, quantity: int = 1) -> Json:
    return {"folder": str(shop.parent), "customer": customer, "item": "kite", "quantity": quantity}


async def test_an_order_is_reserved_charged_and_shipped(engine: Engine, shop: Path) -> None:
    run = await engine.run("fulfil-order", ordered(shop, "Ada", 2))
    assert run["output"] == {"status": "shipped", "because": "", "cents": 3000, "undone": []}
    assert deeds(shop) == ["reserve", "charge", "ship"]


@pytest.mark.parametrize(
    ("customer", "because", "undone"),
    [
        ("Nemo", "no carrier goes to AQ", ["refund", "release"]),
        ("Bob", "'Bob' cannot pay 15.00: 1.00 left", ["release"]),
    ],
)
async def test_an_order_that_fails_is_undone_backwards(
    engine: Engine, shop: Path, customer: str, because: str, undone: list[str]
) -> None:
    run = await engine.run("fulfil-order", ordered(shop, customer))
    assert run["status"] == "succeeded"
    assert run["output"] == {"status": "cancelled", "because": because, "cents": 0, "undone": undone}
    assert deeds(shop)[-len(undone) :] == undone


async def test_an_order_out_of_stock_waits_for_more_and_takes_nothing(engine: Engine, shop: Path) -> None:
    run = await engine.run("fulfil-order", ordered(shop, "Ada", 4))
    assert (run["output"]["status"], run["output"]["undone"]) == ("backordered", [])
    assert deeds(shop) == ["backorder"]


async def test_whatever_becomes_of_an_order_is_written_down(engine: Engine, shop: Path) -> None:
    for customer, said in (
        ("Ada", "Ada, kite: reserve, charge, ship"),
        ("Bob", "Bob, kite: reserve, release"),
    ):
        run = await engine.run("fulfil-order", ordered(shop, customer))
        assert (shop.parent / "audit" / f"{run['run_id']}.txt").read_text() == f"{said}\n"


@pytest.fixture
def crm(tmp_path: Path) -> str:
    (tmp_path / "crm" / "notes").mkdir(parents=True)
    (tmp_path / "crm" / "companies.csv").write_text("name,domain,employees\nAcme,acme.example,120\n")
    (tmp_path / "crm" / "notes" / "1.txt").write_text("Met Ada about queues, queues and timers.")
    return str(tmp_path / "crm")


async def test_a_lead_is_enriched_from_several_questions_at_once(engine: Engine, crm: str) -> None:
    run = await engine.run("enrich-lead", {"folder": crm, "name": "Ada", "email": "ada@acme.example"})
    assert run["output"]["company"] == {"name": "Acme", "domain": "acme.example", "employees": 120}
    assert (run["output"]["interests"][0], run["output"]["points"]) == ("queues", 80)
    steps = completed(run)
    assert set(steps[:2]) == {"find-company#0", "find-mentions#0"}
    assert set(steps[2:4]) == {"find-interests#0", "size-market#0"}
    assert steps[4:] == ["score-lead#0/score#0", "score-lead#0/write-letter#0", "score-lead#0"]


async def test_a_lead_without_a_company_skips_the_market(engine: Engine, crm: str) -> None:
    run = await engine.run("enrich-lead", {"folder": crm, "name": "Eve", "email": "eve@gmail.com"})
    assert (run["output"]["company"], run["output"]["points"]) == (None, 0)
    assert "size-market#0" not in completed(run)


async def test_onboarding_runs_enrichment_as_one_of_its_steps(engine: Engine, crm: str) -> None:
    run = await engine.run("onboarding", {"folder": crm, "name": "Ada", "email": "ada@acme.example"})
    assert (run["output"]["plan"], run["output"]["points"]) == ("enterprise", 80)
    assert completed(run)[-6:] == [
        "enrich-lead#0/score-lead#0/score#0",
        "enrich-lead#0/score-lead#0/write-letter#0",
        "enrich-lead#0/score-lead#0",
        "enrich-lead#0",
        "open-account#0",
        "write-letter#0",
    ]
    assert (Path(run["output"]["account"]) / "account.toml").is_file()
    assert "your enterprise account is open" in Path(run["output"]["letter"]).read_text()


@pytest.mark.parametrize(("name", "plan"), [("Eve", "starter"), ("Bo", "team")])
async def test_the_plan_follows_the_points(engine: Engine, crm: str, name: str, plan: str) -> None:
    email = {"Eve": "eve@gmail.com", "Bo": "bo@acme.example"}[name]
    run = await engine.run("onboarding", {"folder": crm, "name": name, "email": email})
    assert run["output"]["plan"] == plan


async def test_a_batch_works_in_order_and_fingerprints_what_it_made(engine: Engine, tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    for name in ("b.txt", "a.txt", "c.txt"):
        (folder / name).write_text(f"{name} has four words")
    (folder / "empty.txt").touch()
    run = await engine.run("batch", {"folder": str(folder), "at_once": 2})
    manifest = folder / "done" / "manifest.json"
    assert run["output"] == {
        "processed": 3,
        "words": 12,
        "skipped": {"empty.txt": "empty"},
        "manifest": str(manifest),
    }
    assert [one["output"] for one in json.loads(manifest.read_text())] == ["a.txt", "b.txt", "c.txt"]
    steps = completed(run)
    assert steps[:4] == ["triage#0", "process-item#0", "process-item#1", "process-item#2"]
    assert set(steps[4:7]) == {"fingerprint#0", "fingerprint#1", "fingerprint#2"}
    assert steps[7:] == ["write-manifest#0"]


async def test_a_batch_of_nothing_writes_nothing(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    run = await engine.run("batch", {"folder": str(tmp_path / "texts")})
    assert (run["output"]["processed"], run["output"]["manifest"]) == (0, None)
    assert list((tmp_path / "texts").iterdir()) == []


def question(folder: Path, wait: str) -> Json:
    return {
        "folder": str(folder),
        "to": "ada@example.org",
        "subject": "Tea?",
        "text": "At four?",
        "wait": wait,
    }


async def test_silence_is_followed_up(engine: Engine, tmp_path: Path) -> None:
    run = await engine.run("delayed-followup", question(tmp_path / "mail", "10ms"))
    assert completed(run) == ["write-letter#0", "find-reply#0", "write-letter~2#0"]
    letters = [Path(path).read_text() for path in run["output"]["letters"]]
    assert (run["output"]["reply"], ["Re: Tea?" in letter for letter in letters]) == (None, [False, True])


async def test_a_reply_that_is_there_after_the_wait_is_enough(tmp_path: Path) -> None:
    mail = tmp_path / "mail"
    async with engine_on(tmp_path / "data") as engine:
        run_id = await engine.start("delayed-followup", question(mail, "2d"))
        await engine.seen(run_id, "sleep_started")
    (letter,) = (mail / "outbox").iterdir()
    (mail / "inbox").mkdir()
    message_id = letter.read_text().partition("Message-ID: ")[2].splitlines()[0]
    (mail / "inbox" / "1.eml").write_text(f"From: ada@example.org\nIn-Reply-To: {message_id}\n\nYes, four.\n")
    async with engine_on(tmp_path / "data", ahead_s=2 * 86_400) as engine:
        run = await engine.rested(run_id)
    assert run["output"] == {"letters": [str(letter)], "reply": "Yes, four."}
    assert completed(run) == ["write-letter#0", "find-reply#0"]
