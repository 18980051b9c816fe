"""The samples that show one thing each, run to their ends without waiting for anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from ksl.testing import RunFailed, environment

from actions.feeds import rank_entries, read_feed
from actions.signups import post_brief
from workflows.daily_digest import daily_digest
from workflows.llm_triage import llm_triage
from workflows.publish_with_approval import publish_with_approval
from workflows.refund_approval import refund_approval
from workflows.signup_pipeline import signup_pipeline


@pytest.fixture(autouse=True)
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KSL_REPORTS", str(tmp_path / "reports"))
    return tmp_path / "reports"


# --- signup-pipeline


async def test_a_signup_is_posted_at_once_and_again_after_three_days(reports: Path) -> None:
    async with environment() as env:
        run = await env.start(signup_pipeline, {"name": "Ada", "email": "ada@engines.example"})
        await env.advance("2d")
        assert len(env.calls(post_brief)) == 1
        await env.advance("1d")
        brief = await run.result()
    assert (brief.segment, brief.organisation) == ("company", "Engines")
    assert len(list((reports / "board").glob("*.txt"))) == 2


@pytest.mark.parametrize(
    ("email", "segment"),
    [
        ("a@gmail.com", "person"),
        ("a@cam.ac.uk", "school"),
        ("a@city.gov.uk", "public"),
        ("a@b.de", "company"),
    ],
)
async def test_the_mail_domain_tells_who_signed_up(email: str, segment: str) -> None:
    async with environment() as env:
        run = await env.start(signup_pipeline, {"name": "A", "email": email})
        await env.advance("3d")
        assert (await run.result()).segment == segment


# --- refund-approval


async def test_a_small_refund_asks_nobody(tmp_path: Path) -> None:
    async with environment() as env:
        run = await env.start(refund_approval, {"folder": str(tmp_path), "order": "o-1", "cents": 900})
        paid = await run.result()
    assert paid.status == "paid"
    assert "amount: 9.00" in Path(paid.receipt or "").read_text()


@pytest.mark.parametrize(("approved", "status"), [(True, "paid"), (False, "declined")])
async def test_a_large_refund_waits_for_a_person(tmp_path: Path, approved: bool, status: str) -> None:
    async with environment() as env:
        run = await env.start(refund_approval, {"folder": str(tmp_path), "order": "o-1", "cents": 90_000})
        await env.resume(run.hooks[0], {"approved": approved, "by": "Grace"})
        assert (await run.result()).status == status


async def test_a_large_refund_that_nobody_answers_is_not_paid(tmp_path: Path) -> None:
    async with environment() as env:
        run = await env.start(refund_approval, {"folder": str(tmp_path), "order": "o-1", "cents": 90_000})
        await env.advance("2d")
        assert (await run.result()).status == "unanswered"
    assert not (tmp_path / "refunds").exists()


# --- publish-with-approval


@pytest.fixture
def press(tmp_path: Path) -> str:
    (tmp_path / "drafts").mkdir()
    (tmp_path / "drafts" / "prices.md").write_text("# New prices\n\nTODO: the figures\n")
    return str(tmp_path)


@pytest.mark.parametrize(
    ("verdict", "outcome", "where"),
    [("publish", "published", "pages"), ("revise", "sent back", "outbox"), ("drop", "dropped", "archive")],
)
async def test_a_draft_goes_where_its_editor_says(press: str, verdict: str, outcome: str, where: str) -> None:
    async with environment() as env:
        run = await env.start(publish_with_approval, {"folder": press, "draft": "prices.md"})
        hook = run.hooks[0]
        assert hook.details == {"words": 6, "open points": ["TODO: the figures"]}
        (letter,) = Path(press, "outbox").iterdir()
        assert hook.resume_url in letter.read_text().replace("=\n", "")
        await env.resume(hook, {"verdict": verdict, "by": "Grace"})
        result = await run.result()
    assert result.outcome == outcome
    assert Path(result.path or "").parent.name == where


async def test_a_draft_that_nobody_reads_is_put_away_after_three_days(press: str) -> None:
    async with environment() as env:
        run = await env.start(publish_with_approval, {"folder": press, "draft": "prices.md"})
        await env.advance("3d")
        assert (await run.result()).outcome == "expired"
    assert "nobody answered" in Path(press, "archive", "prices.md").read_text()


async def test_a_draft_that_is_not_there_is_an_error(press: str) -> None:
    async with environment() as env:
        run = await env.start(publish_with_approval, {"folder": press, "draft": "gone.md"})
        with pytest.raises(RunFailed, match=r"no draft 'gone\.md'"):
            await run.result()


# --- daily-digest

RSS = """<rss><channel><title>News</title>
<item><title>On trains</title><link>https://news.example/1</link></item>
<item><title>On queues &amp; timers</title><link>https://news.example/2</link></item></channel></rss>"""
ATOM = """<feed xmlns="http://www.w3.org/2005/Atom"><title>Blog</title>
<entry><title>On kites</title><link href="https://blog.example/1"/></entry></feed>"""
ENTITIES = '<!DOCTYPE a [<!ENTITY b "c">]><rss>&b;</rss>'


async def test_a_feed_that_cannot_be_read_is_named_and_the_others_are_in_the_digest(tmp_path: Path) -> None:
    (tmp_path / "feeds").mkdir()
    for name, text in {"a.xml": RSS, "b.xml": "not XML", "c.xml": ATOM, "d.xml": ENTITIES}.items():
        (tmp_path / "feeds" / name).write_text(text)
    async with environment() as env:
        run = await env.start(daily_digest, {"folder": str(tmp_path), "topics": ["Queues"], "most": 2})
        digest = await run.result()
        assert len(env.calls(read_feed)) == 4
        assert len(env.calls(rank_entries)) == 1
    assert (digest.read, digest.unread) == (2, ["b.xml", "d.xml"])
    text = Path(digest.path).read_text()
    assert text.index("On queues & timers") < text.index("On trains")
    assert "1 more were left out." in text
    assert "Could not be read: b.xml, d.xml." in text


async def test_a_day_without_feeds_has_a_digest_too(tmp_path: Path) -> None:
    (tmp_path / "feeds").mkdir()
    async with environment() as env:
        digest = await (await env.start(daily_digest, {"folder": str(tmp_path)})).result()
    assert "Nothing new." in Path(digest.path).read_text()


# --- llm-triage


@pytest.fixture
def desk(tmp_path: Path) -> str:
    (tmp_path / "tickets").mkdir()
    (tmp_path / "tickets" / "1.txt").write_text("The export page crashes: error, traceback. A bug.\n")
    return str(tmp_path)


@pytest.mark.parametrize(
    ("text", "kind", "rounds", "where"),
    [
        ("The site is down, 503 everywhere", "outage", 0, "pages"),
        ("My password was leaked, is it a breach?", "security", 0, "pages"),
        ("A crash with a traceback, so a bug", "bug", 0, "bugs"),
        ("How can I pay by invoice?", "question", 0, "outbox"),
        # Of two minds, until a ticket of the past tells.
        ("Is the export page broken? How so?", "bug", 1, "bugs"),
    ],
)
async def test_a_ticket_is_taken_where_it_belongs(
    desk: str, text: str, kind: str, rounds: int, where: str
) -> None:
    async with environment() as env:
        run = await env.start(llm_triage, {"folder": desk, "sender": "ada@b.example", "text": text})
        triage = await run.result()
    assert (triage.kind, triage.rounds) == (kind, rounds)
    assert Path(triage.path).parent.name == where


async def test_a_ticket_that_says_nothing_is_an_error_after_every_round(desk: str) -> None:
    async with environment() as env:
        run = await env.start(llm_triage, {"folder": desk, "sender": "a@b.example", "text": "Hello there"})
        with pytest.raises(RunFailed, match="no desk takes a ticket of kind 'other'"):
            await run.result()
