"""The load run in small: one service, one worker, a few hundred deliveries on SQLite; the full one is `tox -e load`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from reference import open_engine
from reference.storage.migrations import upgrade
from scenarios.services.chances import Rates
from scenarios.services.mobizon import Sms
from scenarios.services.on_loopback import stand_ins
from tests.load.__main__ import main, on_engine
from tests.load.judge import judge, open_work
from tests.load.plan import Plan

if TYPE_CHECKING:
    from pathlib import Path

GENTLE = Rates(
    busy=0.02,
    failed=0.02,
    failed_after=0.02,
    webhook_lost=0.05,
    webhook_copied=0.3,
    webhook_late=0.3,
    late_s=0.5,
)
"""Without silence: a request that is not answered costs seconds of waiting, and of that the full run has enough."""

SMALL = Plan(
    engine="sqlite",
    deliveries=150,
    services=1,
    workers=1,
    buyers=6,
    kill_every_s=0,
    kill_every_deliveries=60,
    page_within_s=5.0,
    patience_s=4,
    rates=GENTLE,
    lead_delay_s=0,
)


def test_a_small_run_ends_with_everything_as_the_stand_ins_know_it(tmp_path: Path) -> None:
    """Real processes, one of them killed again and again: the audit finds nothing, and neither does the comparison."""
    outcome = on_engine(SMALL, folder=tmp_path)

    assert outcome.wrong == []
    assert outcome.numbers["deliveries"] >= SMALL.deliveries
    assert outcome.numbers["counted"]["payments paid"] > 10
    assert outcome.numbers["workers_killed"] >= 2
    assert "claims hold" in outcome.numbers["audit"]


async def test_the_comparison_finds_what_is_not_so(tmp_path: Path) -> None:
    """Money that a provider has and we do not know of, a grant for nothing, an SMS that is no message of ours: each is named."""
    url = f"sqlite:///{tmp_path / 'judged.db'}"
    upgrade(url)
    engine = open_engine(url)
    async with stand_ins(service_url="http://127.0.0.1:1") as around:
        assert (await judge(engine, around)).wrong == []

        around.platega.transactions["t-1"] = {"id": "t-1", "payload": "p-1", "status": "CONFIRMED"}
        around.mobizon.accepted.append(Sms(1, "77000000001", "hello", "", "nobody's", 0.0))
        wrong = (await judge(engine, around)).wrong
        assert "a provider has a payment for p-1, which we have not" in wrong
        assert 'Mobizon sent "nobody\'s", which is no message of ours' in wrong

        async with engine.begin() as connection:
            for statement in BOUGHT:
                await connection.execute(text(statement))
        wrong = (await judge(engine, around)).wrong
        assert "p-1 is paid, and here it is pending" in wrong
        assert "p-1 is paid and was granted 0 times" in wrong
        assert "p-1 is eligible and was awarded 0 times" in wrong
        assert "p-2 was given for nothing" in wrong
        assert (await open_work(engine, around))["paid and unknown"] == 1


BOUGHT = (
    "INSERT INTO users(id) VALUES (7)",
    "INSERT INTO tariffs(id, price_minor, duration_sec) VALUES (1, 100, 3600)",
    "INSERT INTO subscriptions(id, user_id, token, expires_at, created_at, updated_at) VALUES ('s', 7, 't', 999, 1, 1)",
    "INSERT INTO payments(id, create_key, provider, user_id, tariff_id, amount_minor, duration_sec, created_at) VALUES ('p-1', 'a', 'platega', 7, 1, 100, 60, 1)",
    "INSERT INTO payments(id, create_key, provider, user_id, tariff_id, amount_minor, duration_sec, created_at) VALUES ('p-2', 'b', 'platega', 7, 1, 100, 60, 1)",
    "INSERT INTO entitlement_grants(grant_key, subscription_id, user_id, payment_id, kind, duration_sec, granted_at, seq) VALUES ('pay:p-2', 's', 7, 'p-2', 'purchase', 60, 1, 1)",
)


def test_an_engine_that_there_is_not_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is started."""
    with pytest.raises(SystemExit):
        main(["--engine", "oracle"])
    assert "invalid choice: 'oracle'" in capsys.readouterr().err
