"""The newest lines of a process's log: numbered, masked, cut, bounded, from any thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

import pytest

from ksl.engine.host import NoMask
from ksl.engine.server_log import TEXT_MAX, Repeats, ServerLog
from ksl.errors import BadRequest
from ksl.vault.redactor import Redactor


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    logger = logging.getLogger("ksl.test")
    logger.setLevel(logging.DEBUG)
    yield logger
    logger.setLevel(logging.NOTSET)


@pytest.fixture
def log() -> Iterator[ServerLog]:
    log = ServerLog(NoMask(), boot="b1", kept=5)
    log.listen()
    yield log
    log.close()


def said(log: ServerLog, *, after: str | None = None, level: str = "debug", limit: int = 100) -> list[str]:
    return [line["message"] for line in log.page(after=after, level=level, limit=limit).lines]


def test_the_newest_lines_are_kept_with_their_fields(log: ServerLog, logger: logging.Logger) -> None:
    for number in range(7):
        logger.warning("line %d", number)
    assert said(log) == [f"line {number}" for number in range(2, 7)]
    assert said(log, limit=2) == ["line 5", "line 6"]
    line = log.page(after=None, level="debug", limit=1).lines[0]
    assert (list(line)[:4], line["level"], line["logger"]) == (
        ["at", "level", "message", "logger"],
        "warning",
        "ksl.test",
    )


def test_a_position_leads_through_all_lines_and_says_what_was_missed(
    log: ServerLog, logger: logging.Logger
) -> None:
    logger.warning("before")
    after = log.page(after=None, level="debug", limit=1).after
    for number in range(3):
        logger.warning("line %d", number)
    first = log.page(after=after, level="debug", limit=2)
    assert ([line["message"] for line in first.lines], first.missed) == (["line 0", "line 1"], 0)
    assert said(log, after=first.after) == ["line 2"]
    for number in range(10):
        logger.warning("more %d", number)
    late = log.page(after=first.after, level="debug", limit=100)
    assert (late.lines[0]["message"], late.missed) == ("more 5", 6)
    assert log.page(after=late.after, level="debug", limit=100).lines == []


def test_a_level_leaves_out_what_is_below_it_and_the_position_goes_past_that(
    log: ServerLog, logger: logging.Logger
) -> None:
    start = log.page(after=None, level="debug", limit=1).after
    logger.info("fine")
    logger.error("broken")
    logger.critical("over")
    logger.debug("detail")
    assert said(log, level="error") == ["broken", "over"]
    page = log.page(after=start, level="error", limit=2)
    assert [line["message"] for line in page.lines] == ["broken", "over"]
    assert said(log, after=page.after) == []


def test_a_position_of_another_process_means_the_beginning(log: ServerLog, logger: logging.Logger) -> None:
    logger.warning("first")
    assert said(log, after="b0-99") == ["first"]


@pytest.mark.parametrize("after", ["", "7", "b1-", "b1-x", "b1-²", "b1-" + "9" * 40])
def test_what_is_no_position_is_refused(log: ServerLog, after: str) -> None:
    with pytest.raises(BadRequest, match="after"):
        log.page(after=after, level="debug", limit=1)


def test_what_is_no_level_is_refused(log: ServerLog) -> None:
    with pytest.raises(BadRequest, match="debug, info, warning, error"):
        log.page(after=None, level="loud", limit=1)


def test_secrets_are_masked_before_long_texts_are_cut(logger: logging.Logger) -> None:
    redactor = Redactor()
    redactor.learn("shop", "s3cret-of-the-shop")
    log = ServerLog(redactor, boot="b1")
    log.listen()
    try:
        # The cut falls into the secret: masked after it, the first half would stay.
        logger.warning("%s s3cret-of-the-shop", "x" * (TEXT_MAX - 8))
        logger.warning(
            "a field", extra={"ksl": {"level": "warning", "message": "", "key": "s3cret-of-the-shop"}}
        )
        try:
            raise ValueError("s3cret-of-the-shop")
        except ValueError:
            logger.exception("wrong")
    finally:
        log.close()
    lines = log.page(after=None, level="debug", limit=10).lines
    assert "s3c" not in str(lines)
    assert len(lines[0]["message"]) == TEXT_MAX + 1
    assert lines[1]["key"] == "[redacted:shop]"
    assert "[redacted:shop]" in lines[2]["traceback"]


def test_threads_may_log_while_lines_are_read(log: ServerLog, logger: logging.Logger) -> None:
    def shout() -> None:
        for number in range(500):
            logger.warning("line %d", number)

    threads = [threading.Thread(target=shout) for _ in range(4)]
    for thread in threads:
        thread.start()
    seen, after = 0, "b1-0"
    while any(thread.is_alive() for thread in threads):
        page = log.page(after=after, level="debug", limit=3)
        seen, after = seen + len(page.lines) + page.missed, page.after
    for thread in threads:
        thread.join()
    while (page := log.page(after=after, level="debug", limit=3)).lines:
        seen, after = seen + len(page.lines) + page.missed, page.after
    assert seen == 2_000


def test_a_complaint_of_asyncio_is_told_once_in_a_while() -> None:
    repeats = Repeats()

    def record(name: str, created: float) -> logging.LogRecord:
        made = logging.LogRecord(name, logging.ERROR, "", 0, "too many open files", None, None)
        made.created = created
        return made

    assert [repeats.filter(record("asyncio", at)) for at in (100.0, 100.1, 111.0)] == [True, False, True]
    assert repeats.filter(record("ksl.api", 111.0))


def test_what_the_server_says_of_itself_is_a_line_too(log: ServerLog) -> None:
    log.tell("ksl serves demo")
    log.tell("a rule is broken", level="warning")
    assert said(log, level="warning") == ["a rule is broken"]
    assert said(log) == ["ksl serves demo", "a rule is broken"]
