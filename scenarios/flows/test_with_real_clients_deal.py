"""A deal's payment at Stripe, end to end through the official SDK, with answers that get lost and workers that die."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

for needed in ("httpx", "starlette", "stripe"):
    pytest.importorskip(needed, reason="needs the reference's own parts: pip install 'turnstile[reference]'")

from reference import CheckoutSession, CheckoutSessions, Service, SessionRequest  # noqa: E402
from reference.clients import Clients  # noqa: E402
from reference.storage.schema import metadata  # noqa: E402
from scenarios.flows.real_clients import (  # noqa: E402
    ALWAYS,
    EVENTUALLY,
    MINUTE,
    Town,
    an_answer_was_lost_and_asked_for_again,
    town_of,
    turns,
)
from scenarios.flows.visitors import pay_what_is_open, tell_of_the_deal, work_on_deals  # noqa: E402
from simulator import Crash, Operator, Restart, World, simulate  # noqa: E402
from simulator.network_faults import LateReply, LostReply, ServerError  # noqa: E402
from simulator.oracles import Claim  # noqa: E402


def one_page_per_claim(world: World) -> str | None:
    """A claim's id is on the page that it made; two pages with one id are two that somebody may pay on."""
    references = [one["client_reference_id"] for one in town_of(world).stripe.sessions.all.values()]
    return (
        f"{len(references)} pages for {set(references)}" if len(references) > len(set(references)) else None
    )


def what_was_paid_is_settled(world: World) -> str | None:
    """By Stripe's record, whatever events were heard of."""
    sessions = town_of(world).stripe.sessions.all.values()
    paid = sorted(one["id"] for one in sessions if one["payment_status"] == "paid")
    settled = sorted(row["session_id"] for row in world.database.rows("SELECT session_id FROM settlements"))
    return f"paid: {paid}, settled: {settled}" if paid != settled else None


def a_deal_was_settled(world: World) -> str | None:
    """Reached when money came in."""
    return "settled" if world.database.rows("SELECT 1 FROM settlements") else None


DEALS: list[Claim] = [*EVENTUALLY, one_page_per_claim, what_was_paid_is_settled]


async def a_deal(world: World, *, changed: Callable[[Clients], Clients] = lambda clients: clients) -> Town:
    """The CRM tells of a deal, two workers see to its page, the customer pays, and Stripe says so, perhaps by twin events."""
    town = Town(world, changed=changed)
    town.stripe.webhooks.twins = world.choose("twin events", [0, 1])
    world.run(
        Operator(tell_of_the_deal, town, name="crm"),
        Operator(pay_what_is_open, town, after=9 * MINUTE, name="customer"),
    )
    queues = partial(turns, work_on_deals, after=timedelta(seconds=5), every=2 * MINUTE, name="queues")
    town.worker.run(queues(ticks=8))
    watch = turns(Service.watch_sessions, after=14 * MINUTE, every=MINUTE, ticks=1, name="watch")
    world.process("worker 2", town.work).run(queues(ticks=3), watch)
    return town


@simulate(
    schema=metadata,
    always=ALWAYS,
    eventually=DEALS,
    sometimes=[a_deal_was_settled, an_answer_was_lost_and_asked_for_again],
    executions=40,
)
async def test_a_deal_is_offered_one_page_and_paid_once(world: World) -> None:
    """Stripe's answer is lost, comes late, or is a 500 that says nothing; the worker dies in the middle of a call."""
    town = await a_deal(world)
    town.network.inject(LostReply("stripe"), ServerError("stripe", applied=True), LateReply("stripe"))
    world.inject(Crash("worker"), Restart("api"))
    await world.quiesce()


class NewStripeKeyEachTime:
    """What Stripe's SDK does when it is given no key."""

    def __init__(self, sessions: CheckoutSessions) -> None:
        self._sessions = sessions
        self.retrieve, self.list_created, self.expire = (
            sessions.retrieve,
            sessions.list_created,
            sessions.expire,
        )

    async def create(self, request: SessionRequest) -> CheckoutSession:
        return await self._sessions.create(replace(request, idempotency_key=str(uuid.uuid4())))


@simulate(schema=metadata, eventually=DEALS, finds=one_page_per_claim, shrinking=False)
async def test_a_new_key_for_each_call_makes_two_pages(world: World) -> None:
    """Without the guard."""

    def changed(clients: Clients) -> Clients:
        assert clients.checkout_sessions is not None
        return replace(clients, checkout_sessions=NewStripeKeyEachTime(clients.checkout_sessions))

    town = await a_deal(world, changed=changed)
    town.network.inject(ServerError("stripe", applied=True))
    await world.quiesce()
