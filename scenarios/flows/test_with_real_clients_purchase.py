"""A purchase, end to end through the real clients, with answers that get lost and processes that die."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

for needed in ("httpx", "starlette", "stripe"):
    pytest.importorskip(needed, reason="needs the reference's own parts: pip install 'turnstile[reference]'")

from reference import CreatedPayment, PaymentProvider, PaymentRequest, Provider, Service  # noqa: E402
from reference.clients import Clients  # noqa: E402
from reference.storage.schema import metadata  # noqa: E402
from scenarios.flows.real_clients import (  # noqa: E402
    ALWAYS,
    BUYER,
    EVENTUALLY,
    MINUTE,
    Town,
    an_answer_was_lost_and_asked_for_again,
    town_of,
    turns,
)
from scenarios.flows.visitors import MONTH_S, PRICE_MINOR, TARIFF, buy_and_pay, work_on_payments  # noqa: E402
from simulator import Crash, Operator, Restart, World, simulate  # noqa: E402
from simulator.network_faults import LateReply, LostReply, LostRequest, ServerError  # noqa: E402
from simulator.oracles import Claim  # noqa: E402


async def a_purchase(
    world: World, provider: str, *, changed: Callable[[Clients], Clients] = lambda clients: clients
) -> Town:
    """One payment for a month: link, page, webhook, grant, notice, key; and a sweep for what nobody was told."""
    town = Town(world, changed=changed)
    world.database.insert(
        "tariffs",
        id=TARIFF,
        title="month",
        price_minor=PRICE_MINOR,
        duration_sec=MONTH_S,
        traffic_limit_mb=1000,
    )
    world.run(Operator(buy_and_pay, town, provider, name="buyer"))
    town.worker.run(
        turns(work_on_payments, after=timedelta(seconds=5), every=2 * MINUTE, ticks=6, name="queues"),
        turns(
            Service.process_pending_paid_payments,
            after=8 * MINUTE,
            every=MINUTE,
            ticks=1,
            name="pending sweep",
        ),
    )
    return town


def paid_at_providers(town: Town) -> list[str]:
    """The payments that a buyer has paid, by the providers' own records."""
    paid = [one["id"] for one in town.yookassa.payments.all.values() if one["status"] == "succeeded"]
    return paid + [one["id"] for one in town.platega.transactions.values() if one["status"] == "CONFIRMED"]


def one_payment_per_intention(world: World) -> str | None:
    """YooKassa honours our key, so a tap and its repetitions are one payment there."""
    made = list(town_of(world).yookassa.payments.all)
    return f"one intention to buy made {len(made)} payments: {', '.join(made)}" if len(made) > 1 else None


def what_was_paid_is_there(world: World) -> str | None:
    """Paid once, one subscription, its key on the server, and the buyer was told, perhaps twice in the same words."""
    town = town_of(world)
    paid, texts = paid_at_providers(town), town.telegram.texts(BUYER)
    subscriptions = [row["id"] for row in world.database.rows("SELECT id FROM subscriptions WHERE is_active")]
    seen = len(subscriptions), list(town.server.keys) == subscriptions, len(set(texts))
    if seen == (len(paid), True, len(paid)) and len(paid) <= 1:
        return None
    return f"paid: {paid}, subscriptions: {subscriptions}, keys: {list(town.server.keys)}, notices: {texts}"


def a_subscription_was_bought(world: World) -> str | None:
    """Reached when everything is there; or the claims above would hold of nothing."""
    return "bought" if paid_at_providers(town_of(world)) and town_of(world).server.keys else None


PURCHASE: list[Claim] = [*EVENTUALLY, one_payment_per_intention, what_was_paid_is_there]


@simulate(
    schema=metadata,
    always=ALWAYS,
    eventually=PURCHASE,
    sometimes=[a_subscription_was_bought, an_answer_was_lost_and_asked_for_again],
    executions=40,
)
async def test_a_purchase_at_yookassa(world: World) -> None:
    """The answer to the create is lost, the notice's, the key server's; the worker is restarted; the API dies."""
    town = await a_purchase(world, "yookassa")
    town.network.inject(LostReply("yookassa"), LostReply("telegram"), ServerError("nl-1", applied=True))
    world.inject(Crash("api"), Restart("worker"))
    await world.quiesce()


@simulate(
    schema=metadata, always=ALWAYS, eventually=PURCHASE, sometimes=[a_subscription_was_bought], executions=40
)
async def test_a_purchase_at_platega(world: World) -> None:
    """A lost answer leaves a transaction behind that nobody has the page of; it ends by itself, and nothing is doubled."""
    town = await a_purchase(world, "platega")
    town.network.inject(LostReply("platega", reset=True), LateReply("telegram"), LostRequest("nl-1"))
    world.inject(Crash("api"), Restart("worker"))
    await world.quiesce()


class NewKeyEachTime:
    """What a client's library does when it is given no key: YooKassa's own makes a random one for each call."""

    def __init__(self, yookassa: PaymentProvider) -> None:
        self._yookassa = yookassa
        self.look_up = yookassa.look_up

    async def create(self, request: PaymentRequest) -> CreatedPayment:
        return await self._yookassa.create(replace(request, idempotence_key=str(uuid.uuid4())))


@simulate(schema=metadata, eventually=PURCHASE, finds=one_payment_per_intention, shrinking=False)
async def test_a_new_key_for_each_call_makes_two_payments(world: World) -> None:
    """The same scenario without the guard: the key is what makes a repetition harmless."""
    town = await a_purchase(world, "yookassa", changed=_with_new_keys)
    town.network.inject(LostReply("yookassa"))
    world.inject(Crash("api"))
    await world.quiesce()


def _with_new_keys(clients: Clients) -> Clients:
    providers: dict[Provider, PaymentProvider] = {
        **clients.providers,
        Provider.YOOKASSA: NewKeyEachTime(clients.providers[Provider.YOOKASSA]),
    }
    return replace(clients, providers=providers)
