from __future__ import annotations

import email
import email.policy
from pathlib import Path

import pytest

from ksl import ActionContext, FatalError

from actions.files import existing_folder, inside, write_whole
from actions.mail import Letter, find_reply, write_letter


def test_a_file_is_replaced_whole_and_nothing_stays_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "note.txt"
    write_whole(path, "first")
    write_whole(path, b"second")
    assert path.read_text() == "second"
    assert list(path.parent.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_old_file_and_no_half_one(tmp_path: Path) -> None:
    folder = tmp_path / "note"
    (folder / "inner").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        write_whole(folder, "text")
    assert list(tmp_path.iterdir()) == [folder]


def test_a_name_may_not_leave_its_folder(tmp_path: Path) -> None:
    assert inside(tmp_path, "a/b.txt") == tmp_path / "a" / "b.txt"
    for name in ("..", "../x", "/etc/passwd", "a/../..", "."):
        with pytest.raises(FatalError, match="does not stay inside"):
            inside(tmp_path, name)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FatalError, match="nowhere is not a folder"):
        existing_folder(str(tmp_path / "nowhere"))


def letter(folder: Path, key: str) -> Letter:
    return write_letter.function(
        ActionContext(idempotency_key=key),
        folder=str(folder),
        to="ada@example.org",
        subject="Tea?",
        text="At four?",
    )


def test_a_second_attempt_writes_the_same_letter_and_another_step_another_one(tmp_path: Path) -> None:
    first = letter(tmp_path, "run:step#0")
    again = letter(tmp_path, "run:step#0")
    other = letter(tmp_path, "run:step#1")
    assert first == again
    assert sorted(path.name for path in (tmp_path / "outbox").iterdir()) == ["runstep0.eml", "runstep1.eml"]
    assert other.id != first.id


def test_a_letter_reads_back_as_mail(tmp_path: Path) -> None:
    path = Path(letter(tmp_path, "k").path)
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    assert (message["To"], message["Subject"], message["Message-ID"]) == (
        "ada@example.org",
        "Tea?",
        "<k@ksl.invalid>",
    )


async def test_only_the_answer_to_that_letter_counts_as_its_reply(tmp_path: Path) -> None:
    sent = letter(tmp_path, "k")
    assert await find_reply.run(folder=str(tmp_path), letter_id=sent.id) is None
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / "1.eml").write_text("From: a@example.org\nIn-Reply-To: <other@x>\n\nNo.\n")
    assert await find_reply.run(folder=str(tmp_path), letter_id=sent.id) is None
    (tmp_path / "inbox" / "2.eml").write_text(
        f"From: ada@example.org\nIn-Reply-To: {sent.id}\n\nYes, four.\n"
    )
    reply = await find_reply.run(folder=str(tmp_path), letter_id=sent.id)
    assert reply is not None
    assert (reply.sender, reply.text) == ("ada@example.org", "Yes, four.")
