"""A process says whether it lives, whether it can work, and what is counted; several of them say the same."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

import reference
from reference import logs
from reference.flows.statistics import Statistics
from reference.http import HttpSettings, application, metrics

if TYPE_CHECKING:
    from conftest import Door


async def samples(door: Door) -> dict[str, float]:
    """The page, as Prometheus reads it: ``name{label="value"}`` and its number."""
    response = await door.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {
        sample.name
        + "".join(f" {name}={value}" for name, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


async def test_a_process_that_lives_says_so_whatever_the_database_does(door: Door, tmp_path: Path) -> None:
    """Starting it again would not mend the database."""
    gone = reference.open_engine(f"sqlite+aiosqlite:///{tmp_path}/nowhere/shop.db")
    door.app = application(replace(door.shop.service, engine=gone), door.settings)
    assert (await door.get("/health")).json() == {"status": "ok"}
    ready = await door.get("/ready")
    assert (ready.status_code, ready.json()["detail"]) == (503, "the database does not answer")
    news = await door.yookassa({"event": "payment.succeeded", "object": {"id": "remote-1"}})
    assert news.status_code == 503


async def test_ready_means_that_every_table_is_as_this_version_expects_it(either_door: Door) -> None:
    """A migration that has not run is named."""
    door = either_door
    assert (await door.get("/ready")).json() == {"status": "ok"}
    await door.shop.write("ALTER TABLE outbox RENAME COLUMN fence TO fence_of_old")
    try:
        ready = await door.get("/ready")
        assert ready.status_code == 503
        assert ready.json()["detail"].startswith("outbox cannot be read")
    finally:
        await door.shop.write("ALTER TABLE outbox RENAME COLUMN fence_of_old TO fence")


async def test_metrics_show_grants_awards_retries_errors_duplicates_and_lag(either_door: Door) -> None:
    """One purchase with a duplicate notification, and a bot that is blocked."""
    door = either_door
    await door.shop.contest()
    payment = (await door.buy()).json()["payment_id"]
    notification = door.shop.pays(payment)
    for _ in range(3):
        await door.yookassa(notification)
    door.shop.clock.at += 7
    assert (await samples(door))["turnstile_inbox_lag_seconds provider=yookassa"] == 7
    door.shop.telegram.broken = ConnectionError("down")
    await door.work()
    door.shop.clock.at += 60
    found = await samples(door)
    assert {name: found.get(name) for name in EXPECTED} == EXPECTED


EXPECTED: dict[str, float | None] = {
    "turnstile_payments provider=yookassa status=completed": 1,
    "turnstile_grants_total kind=purchase": 1,
    "turnstile_award_decisions_total outcome=awarded why=in_period": 1,
    "turnstile_tickets reason=SELF_PURCHASE": 5,
    "turnstile_webhook_deliveries_total provider=yookassa": 3,
    "turnstile_webhook_duplicates_total provider=yookassa": 2,
    "turnstile_webhook_duplicates_total provider=mobizon": 0,
    "turnstile_inbox_unworked provider=yookassa": 0,
    "turnstile_inbox_lag_seconds provider=yookassa": None,
    "turnstile_jobs state=done topic=award": 1,
    "turnstile_jobs state=waiting topic=notice": 1,
    "turnstile_job_attempts_total topic=notice": 1,
    "turnstile_job_failures_total topic=notice": 1,
    "turnstile_job_retries_total topic=notice": 0,
    "turnstile_job_failures_total topic=award": 0,
    "turnstile_outbox_lag_seconds topic=notice": 55,
    "turnstile_refunds_owed": 0,
    "turnstile_attention": 0,
    "turnstile_http_requests_total method=POST route=/yookassa/webhook status=200": 3,
}


async def test_two_processes_agree_about_everything_but_their_own_requests(door: Door) -> None:
    """As deployed the statistics were a Map in one of them."""
    await door.shop.bought()
    await door.work()
    one = await samples(door)
    door.open(door.settings)
    other = await samples(door)
    ours = ("turnstile_http_",)
    assert {name for name in one if not name.startswith(ours)} >= {"turnstile_grants_total kind=purchase"}
    assert {name: value for name, value in one.items() if not name.startswith(ours)} == {
        name: value for name, value in other.items() if not name.startswith(ours)
    }


async def test_blocked_duplicates_of_messages_are_counted(door: Door) -> None:
    """Two leads with one number within an hour: the second SMS is blocked."""
    lead = {"name": "Anna", "phone": "+1 555 0100 123", "email": "anna@example.com"}
    for answers in ({"q": 1}, {"q": 2}):
        assert (await door.post("/api/landing/proftest", lead | {"answers": answers})).status_code == 202
    door.shop.clock.at += 600
    await door.shop.service.sweep_messages()
    found = await samples(door)
    assert found["turnstile_message_incidents_total what=blocked_duplicate"] == 1
    assert found["turnstile_messages channel=sms state=sent"] == 1
    assert found["turnstile_messages channel=sms state=cancelled"] == 1


def test_every_statistic_has_its_metric() -> None:
    """One that is counted and not shown would be found missing on the worst day."""
    shown = {row[0] for table in (metrics._COUNTERS, metrics._GAUGES, metrics._NUMBERS) for row in table}
    assert shown == set(Statistics.__dataclass_fields__)


async def test_a_scraper_can_be_asked_for_a_token(door: Door) -> None:
    """Without the setting anybody who reaches the page may read it."""
    door.open(HttpSettings(metrics_token="scraper"))
    assert (await door.get("/metrics")).status_code == 401
    assert (await door.get("/metrics", token="scraper")).status_code == 200


@pytest.fixture
def lines() -> Iterator[list[dict[str, str]]]:
    """What the command would write, line by line."""
    kept: list[dict[str, str]] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            kept.append(json.loads(logs.JsonLines().format(record)))

    logger, handler = logging.getLogger("reference"), Kept()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield kept
    logger.removeHandler(handler)
    logger.setLevel(level)


LEAD = {"name": "Anna", "phone": "+1 555 0100 123", "email": "anna@example.com", "answers": {}}


async def test_each_request_leaves_one_line_with_its_ids(door: Door, lines: list[dict[str, str]]) -> None:
    """As JSON, by the formatter of the command; nobody's number, and no secret."""
    payment = (await door.buy()).json()["payment_id"]
    await door.yookassa(door.shop.pays(payment))
    lead_id = (await door.post("/api/landing/proftest", LEAD)).json()["lead_id"]
    await door.post("/yookassa/webhook", {})
    bought, told, taken, refused = lines
    assert (bought["route"], bought["payment_id"], bought["status"]) == ("/v1/payments", payment, "200")
    assert (told["provider"], told["object_id"], told["receipt"]) == ("yookassa", f"remote-{payment}", "new")
    assert taken["lead_id"] == lead_id
    assert (refused["status"], refused["problem"]) == ("403", "wrong-source")
    assert [secret for secret in ("555", "anna@", "bot-token") if secret in json.dumps(lines)] == []


async def test_what_is_given_leaves_lines_too(door: Door, lines: list[dict[str, str]]) -> None:
    """Granted, awarded, accepted, and a duplicate that was blocked: each with what it is about."""
    await door.shop.contest()
    payment = (await door.buy()).json()["payment_id"]
    await door.yookassa(door.shop.pays(payment))
    for answers in ({"q": 1}, {"q": 2}):
        await door.post("/api/landing/proftest", LEAD | {"answers": answers})
    await door.work()
    door.shop.clock.at += 600
    await door.shop.service.sweep_messages()
    said = [(line["message"], line) for line in lines if line["logger"] != "reference.http"]
    granted = [line["payment"] for message, line in said if "is granted: purchase" in message]
    awarded = [line["payment"] for message, line in said if "in january: awarded, in_period, 5" in message]
    accepted = [line["lead"] for message, line in said if "was accepted as" in message]
    blocked = [message for message, _ in said if "is not sent now: its number has had one" in message]
    assert (granted, awarded) == ([payment], [payment])
    assert (len(accepted), len(blocked)) == (3, 1)  # two mails and one SMS
