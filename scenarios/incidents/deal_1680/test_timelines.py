"""Deal 1680: the incident's own minutes replayed, and what is said of two options beside their verdicts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from scenarios.incidents.deal_1680 import scenario
from scenarios.incidents.deal_1680.account import (
    one_page_per_deal,
    one_reminder_per_deal,
    one_session_in_stripes_records,
)
from scenarios.incidents.deal_1680.desks import AS_DEPLOYED, OPTION_2, OPTION_3, OPTION_3_ASKING_STRIPE
from scenarios.incidents.verdict_tests import replayed
from simulator import World, restarted, simulate, specification_of

TIMELINES = Path(__file__).parent / "timelines"
_as_found = partial(simulate, schema=AS_DEPLOYED.schema, finds=one_session_in_stripes_records)


@pytest.mark.parametrize(
    ("timeline", "story"),
    [
        ("two_runs_of_the_cron", scenario.the_scheduler_runs_twice),
        ("a_link_by_hand", scenario.by_hand_and_nobody_pays),
    ],
    ids=["two_runs_of_the_cron", "a_link_by_hand"],
)
def test_the_incidents_own_minutes(timeline: str, story: Callable[..., Awaitable[None]]) -> None:
    """Two ways that end in what Stripe's records showed, to the second, and both sessions expired and unpaid."""
    told = _as_found()(partial(story, desk=AS_DEPLOYED))

    result = replayed(specification_of(told), TIMELINES / f"{timeline}.schedule")

    assert result.failure is not None
    first, second = result.failure.reason.split("; ")
    assert first.endswith(": 2025-12-15 22:10:59, expired, unpaid")
    assert second.endswith(": 2025-12-15 22:12:24, expired, unpaid")


@simulate(schema=AS_DEPLOYED.schema, finds=one_reminder_per_deal)
async def test_as_deployed_two_expired_sessions_are_two_reminders(world: World) -> None:
    """What the team noticed first."""
    await scenario.reminded(world, AS_DEPLOYED)


@simulate(schema=OPTION_2.schema, eventually=[one_reminder_per_deal])
async def test_option_2_does_what_it_says(world: World) -> None:
    """One reminder, and still two pages: its verdict is above."""
    await scenario.reminded(world, OPTION_2)


@simulate(schema=OPTION_3.schema, always=[one_page_per_deal], sometimes=[restarted("shop")])
async def test_option_3_that_asks_stripe_holds_when_minutes_pass(world: World) -> None:
    """What it says beside its verdict: with half a second instead of five minutes two pages are found."""
    await scenario.crash_then_processor(world, OPTION_3_ASKING_STRIPE)
