"""Logs: one line of JSON per record, with the ids of what the task is about, wherever it was started from."""

from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
import trio

from reference import logs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.reference.conftest import Shop


@pytest.fixture
def lines() -> Iterator[list[dict[str, Any]]]:
    """What the reference logs, as a machine reads it; the list fills when it is asked for."""
    stream, root = io.StringIO(), logging.getLogger()
    before = (
        root.handlers[:],
        root.level,
        {name: logging.getLogger(name).level for name in ("httpx", "stripe")},
    )
    logs.configure("DEBUG", stream)

    class Lines(list[dict[str, Any]]):
        def __iter__(self) -> Iterator[dict[str, Any]]:
            return iter([json.loads(line) for line in stream.getvalue().splitlines()])

    yield Lines()
    root.handlers[:], level, levels = before
    root.setLevel(level)
    for name, its in levels.items():
        logging.getLogger(name).setLevel(its)


def test_a_line_says_when_where_and_what(lines: list[dict[str, Any]]) -> None:
    """And the ids, only inside of what they are about."""
    log = logging.getLogger("reference.test")
    with logs.about(payment="p-1", lead=None):
        log.warning("%s is %d", "p-1", 7)
        with logs.about(deal=1680):
            log.info("within")
    log.info("after")

    first, second, third = [line for line in lines if line["logger"] == "reference.test"]
    assert (first["level"], first["message"], first["payment"]) == ("WARNING", "p-1 is 7", "p-1")
    assert "lead" not in first
    assert first["at"].endswith("+00:00")
    assert (second["payment"], second["deal"]) == ("p-1", "1680")
    assert not {"payment", "deal"} & set(third)


def test_an_error_brings_its_traceback_and_stays_one_line(lines: list[dict[str, Any]]) -> None:
    """A log collector reads lines."""
    logging.getLogger("reference.test").error("it failed", exc_info=ConnectionError("away"))

    (line,) = [line for line in lines if line["logger"] == "reference.test"]
    assert line["message"] == "it failed"
    assert line["error"].endswith("ConnectionError: away")


async def test_tasks_that_are_started_carry_the_ids_along(lines: list[dict[str, Any]]) -> None:
    """Two at once do not mix."""

    async def work(name: str) -> None:
        with logs.about(payment=name):
            await trio.lowlevel.checkpoint()
            logging.getLogger("reference.test").info("hello")

    with logs.about(task="both"):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(work, "p-1")
            nursery.start_soon(work, "p-2")

    found = {(line["task"], line["payment"]) for line in lines if line["logger"] == "reference.test"}
    assert found == {("both", "p-1"), ("both", "p-2")}


async def test_a_job_that_fails_is_logged_with_its_payment(shop: Shop, lines: list[dict[str, Any]]) -> None:
    """So that one search finds the life of a payment."""
    payment = await shop.bought()
    shop.telegram.broken = ConnectionError("Telegram is away")
    await shop.service.relay()

    (line,) = [line for line in lines if line["level"] == "WARNING"]
    assert (line["payment"], line["job"]) == (payment, f"notice:{payment}")


def test_libraries_that_log_urls_are_quiet(lines: list[dict[str, Any]]) -> None:
    """Telegram's and Mobizon's URLs hold a token."""
    logging.getLogger("httpx").info("HTTP Request: POST https://api.telegram.example/bot1:token/sendMessage")

    assert "token" not in json.dumps(list(lines))
