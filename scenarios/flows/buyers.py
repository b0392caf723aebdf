"""Purchases as they come: drawn buyers, payments, amounts, news, times and faults, over one database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from reference import ProviderPayment, ProviderStatus, Service
from scenarios.flows.purchase_work import the_buyer_is_told
from scenarios.flows.purchases import (
    HOUR,
    ONE_LINE_PER_KEY,
    ONE_ROW_PER_NOTIFICATION,
    WHAT_WAS_TAKEN_IS_DELIVERED,
)
from scenarios.flows.shop import (
    ALWAYS,
    EVENTUALLY,
    MINUTE,
    PRICE_MINOR,
    USER,
    Shop,
    operator,
    outside_of,
    polling,
    relay,
    sweep,
    webhook,
)
from simulator import World
from simulator.actors import Actor

PAYMENTS_MAX = 3
BUYERS = (USER, 8)
GIFT_S = 86_400


@dataclass(frozen=True, slots=True)
class Drawn:
    """One payment of the story."""

    name: str
    buyer: int
    received_minor: int
    told: str
    goes_back: bool


def draw(world: World) -> list[Drawn]:
    """Up to three payments of one or two buyers; each may be of the wrong amount, told in four ways, and go back."""
    count = world.choose("payments", range(1, PAYMENTS_MAX + 1))
    return [
        Drawn(
            name := f"p-{number}",
            world.choose(f"buyer of {name}", BUYERS),
            world.choose(f"received for {name}", (PRICE_MINOR, PRICE_MINOR - 1)),
            world.choose(f"who tells of {name}", ("webhook", "webhook twice", "poller", "nobody")),
            world.choose(f"{name} goes back", (False, True)),
        )
        for number in range(1, count + 1)
    ]


def buy(world: World, shop: Shop, drawn: list[Drawn]) -> None:
    """Sets the story up: who pays, who tells us, what goes back, and the work that follows when everything is well again."""
    for buyer in dict.fromkeys(payment.buyer for payment in drawn):
        if buyer != USER:
            world.database.insert("users", id=buyer)
    for payment in drawn:
        shop.has_payment(payment.name, user=payment.buyer, received_minor=payment.received_minor)
    shop.runs("api", *(actor for payment in drawn for actor in _news(payment)))
    shop.runs("bot", *(polling(payment.name) for payment in drawn if payment.told == "poller"))
    if world.choose("a gift", (False, True)):
        shop.runs("desk", operator(_gift, name="gift"), operator(_gift, name="gift again"))
    for payment in drawn:
        if payment.goes_back:
            refund = operator(
                _give_back(world, payment.name), name=f"refund {payment.name}", after=10 * MINUTE
            )
            shop.runs(f"provider of {payment.name}", refund)
    shop.runs("worker", sweep(ticks=1, after=5 * MINUTE), relay(ticks=1))
    shop.runs("later worker", sweep(ticks=1, after=HOUR), relay(ticks=2, after=2 * HOUR))


def _news(payment: Drawn) -> list[Actor]:
    told = []
    if payment.told.startswith("webhook"):
        told.append(webhook(payment.name, deliveries=2 if payment.told == "webhook twice" else 1))
    if payment.goes_back:
        told.append(webhook(payment.name, event="refund.succeeded", after=10 * MINUTE))
    return told


async def _gift(service: Service) -> None:
    await service.gift(ticket="T-1", user_id=USER, duration_sec=GIFT_S)


def _give_back(world: World, name: str) -> Callable[[Service], Awaitable[None]]:
    def refunded() -> None:
        record = outside_of(world).records[name]
        outside_of(world).records[name] = ProviderPayment(
            ProviderStatus.REFUNDED, record.amount_minor, record.currency
        )

    async def refund(_service: Service) -> None:
        await world.call(f"provider refunds {name}", refunded)

    return refund


def every_remote_payment_is_known(world: World) -> str | None:
    """Every payment at the provider has a row of ours, or a notification that is still to be worked off."""
    ours = {
        row["remote"] for row in world.database.rows("SELECT provider_payment_id AS remote FROM payments")
    }
    due = {
        row["remote"]
        for row in world.database.rows("SELECT object_id AS remote FROM inbox WHERE done_at IS NULL")
    }
    lost = [name for name in outside_of(world).records if name not in ours and name not in due]
    return f"the provider's {lost[0]} is nobody's" if lost else None


CLAIMS = (*EVENTUALLY, WHAT_WAS_TAKEN_IS_DELIVERED, the_buyer_is_told, every_remote_payment_is_known)
ALWAYS_CLAIMS = (*ALWAYS, ONE_LINE_PER_KEY, ONE_ROW_PER_NOTIFICATION)
