"""The ticket awards, moved to PostgreSQL: what the lock of one database carried, nothing carries in the other."""

from __future__ import annotations

import pytest

from scenarios.incidents.ticket_award.bots import GuidesBot
from scenarios.incidents.ticket_award.scenario import (
    one_award_per_order_and_reason,
    order_processing,
    orders,
    webhook,
)
from scenarios.incidents.ticket_award.versions import ASKED_AS_WRITER, ASKED_WITHIN
from simulator import World, simulate


@pytest.mark.parametrize("bot", [ASKED_WITHIN, ASKED_AS_WRITER], ids=["deferred", "immediate"])
@simulate(schema=ASKED_WITHIN.schema, finds=one_award_per_order_and_reason, engines=["postgresql"])
async def test_both_ask_before_either_commits(world: World, bot: GuidesBot) -> None:
    """READ COMMITTED lets them; there is no BEGIN IMMEDIATE there."""
    await orders(world, bot, api=[webhook()], bots=[order_processing()])
