from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from ksl import FatalError

from actions.documents import fingerprint, process_item, triage, write_manifest
from actions.leads import (
    Company,
    Mentions,
    Score,
    find_company,
    find_interests,
    find_mentions,
    open_account,
    score,
    size_market,
)


@pytest.fixture
def crm(tmp_path: Path) -> str:
    (tmp_path / "notes").mkdir()
    (tmp_path / "companies.csv").write_text(
        "name,domain,employees\nAcme,acme.example,120\nTiny,tiny.example,2\nHuge,huge.example,9000\n"
    )
    (tmp_path / "notes" / "1.txt").write_text("Met Ada. She asked about queues, queues and timers.")
    (tmp_path / "notes" / "2.txt").write_text("ada again: timers and queues")
    (tmp_path / "notes" / "3.txt").write_text("Adams wants nothing.")
    return str(tmp_path)


async def test_a_company_is_found_by_its_mail_domain(crm: str) -> None:
    assert await find_company.run(crm, "Ada@ACME.example") == Company(
        name="Acme", domain="acme.example", employees=120
    )
    assert await find_company.run(crm, "ada@nowhere.example") is None
    assert await find_company.run(crm, "ada@gmail.com") is None


async def test_a_name_is_mentioned_as_a_whole_word_only(crm: str) -> None:
    assert await find_mentions.run(crm, "Ada") == Mentions(notes=["1.txt", "2.txt"], words=14)


async def test_interests_are_the_words_used_most_without_the_common_ones(crm: str) -> None:
    assert await find_interests.run(crm, ["1.txt", "2.txt"]) == ["queues", "ada", "timers"]
    assert await find_interests.run(crm, []) == []


async def test_a_company_is_ranked_among_those_listed(crm: str) -> None:
    assert await size_market.run(crm, Company(name="Tiny", domain="tiny.example", employees=2)) == 1 / 3


def test_points_come_with_their_reasons() -> None:
    acme = Company(name="Acme", domain="acme.example", employees=120)
    verdict = score.function(
        company=acme, rank=0.5, mentions=Mentions(notes=["1.txt"], words=9), interests=["queues"]
    )
    assert verdict == Score(
        points=52, reasons=["works at Acme (120 people)", "named in 1 of our notes", "interested in queues"]
    )
    nothing = score.function(company=None, rank=0.0, mentions=Mentions(notes=[], words=0), interests=[])
    assert nothing == Score(points=0, reasons=[])


async def test_addresses_that_look_alike_get_accounts_of_their_own(crm: str) -> None:
    one = await open_account.run(crm, "a.b@example.org", "team")
    two = await open_account.run(crm, "a-b@example.org", "team")
    assert one != two
    assert await open_account.run(crm, "A.B@example.org", "team") == one
    assert (Path(one) / "account.toml").read_text() == 'email = "A.B@example.org"\nplan = "team"\n'


async def test_triage_tells_what_it_leaves_and_why(tmp_path: Path) -> None:
    for name, content in {
        "a.txt": b"a",
        "b.txt": b" \n",
        "c.bin": b"\0",
        "d.txt": b"d",
        "e.txt": b"e",
    }.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / ".hidden").write_text("x")
    (tmp_path / "done").mkdir()
    plan = await triage.run(str(tmp_path), limit=2)
    assert plan.items == ["a.txt", "d.txt"]
    assert plan.skipped == {"b.txt": "empty", "c.bin": "not text", "e.txt": "over the limit of 2"}


async def test_a_tidied_file_keeps_its_words(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n\none  \n\n\n\n\ntwo three")
    item = await process_item.run(str(tmp_path), "a.txt")
    assert (item.words, item.lines) == (3, 3)
    assert (tmp_path / "done" / "a.txt").read_text() == "one\n\ntwo three\n"


async def test_an_item_outside_the_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FatalError, match="does not stay inside"):
        await process_item.run(str(tmp_path), "../secret.txt")


async def test_the_manifest_lists_what_the_files_really_hold(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    item = await process_item.run(str(tmp_path), "a.txt")
    seen = await fingerprint.run(str(tmp_path), item.output)
    manifest = await write_manifest.run(str(tmp_path), [seen])
    digest = hashlib.sha256(b"one\n").hexdigest()
    assert json.loads(Path(manifest).read_text()) == [{"output": "a.txt", "sha256": digest, "size": 4}]
