"""The reference in every interleaving, up to equivalence, that two paths to one payment have; and with a crash anywhere.

No early timers: time passes when nobody can move. What each proof rests on is printed at the end of the run.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from scenarios.incidents.subscription_224.scenario import (
    GRANTED,
    PAID,
    PAYMENT,
    notice_sweep,
    open_shop,
    pending_sweep,
    polling,
    run,
    webhook,
)
from scenarios.incidents.subscription_224.shops import REFERENCE, TRIAL
from simulator import Crash, World, simulate
from simulator.actors import Actor
from simulator.faults import Fault

ALWAYS = [claim for claim in REFERENCE.claims if claim.when == "always"]
EVENTUALLY = [claim for claim in REFERENCE.claims if claim.when == "eventually"]


async def two_paths(world: World, other: Actor, *faults: Fault, status: str) -> None:
    """A webhook, and whoever else notices the payment."""
    remote = open_shop(world, REFERENCE)
    REFERENCE.has_subscription(world, created_at=GRANTED, given=TRIAL)
    REFERENCE.has_payment(world, PAYMENT, at=PAID, status=status, provider="yookassa")
    run(world, REFERENCE, remote, api=[webhook()], bot=[other])
    world.inject(*faults)
    await world.quiesce()


@pytest.mark.parametrize(
    ("other", "status"),
    [(polling, "pending"), (pending_sweep, "paid"), (notice_sweep, "paid")],
    ids=["polling", "pending_sweep", "notice_sweep"],
)
@simulate(
    schema=REFERENCE.schema,
    always=ALWAYS,
    eventually=EVENTUALLY,
    scheduler="exhaustive",
    early_timers_max=0,
    engines=["sqlite"],
)
async def test_one_payment_extends_once_in_every_interleaving(
    world: World, other: Callable[[], Actor], status: str
) -> None:
    """Two processes, no fault."""
    await two_paths(world, other(), status=status)


@simulate(
    schema=REFERENCE.schema,
    always=ALWAYS,
    eventually=EVENTUALLY,
    scheduler="exhaustive",
    early_timers_max=0,
    engines=["sqlite"],
)
async def test_one_payment_extends_once_wherever_the_api_dies(world: World) -> None:
    """SIGKILL before any step of the process that serves the webhook, in every interleaving with the poller."""
    await two_paths(world, polling(), Crash("api"), status="pending")
