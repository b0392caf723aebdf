"""What people outside do, and what a worker's queues do in one turn: the parts of stories that several scenarios tell."""

from __future__ import annotations

import json

import trio

from reference import Service
from scenarios.flows.real_clients import BUYER, DOOR, NOON, TAPS_MAX, Town

MONTH_S = 30 * 86_400
TARIFF, PRICE_MINOR = 1, 19_900

DEAL = {
    "id": 1680,
    "title": "Flat 7",
    "status": "won",
    "user_id": BUYER,
    "amount_minor": 50_000,
    "currency": "EUR",
    "close_date": int(NOON.timestamp()) + 10 * 86_400,
    "version": 1,
}


async def work_on_payments(service: Service) -> None:
    """What a worker's queues do about payments, once."""
    await service.work_inbox()
    await service.relay()


async def buy_and_pay(town: Town, provider: str) -> None:
    """A buyer taps until there is a link, and pays on the page that it leads to."""
    wanted = {"user_id": BUYER, "tariff_id": TARIFF, "provider": provider}
    for _ in range(TAPS_MAX):
        answer = await town.ask(
            "/v1/payments", wanted, token=DOOR.bot_token, headers=(("idempotency-key", "message-1"),)
        )
        if answer is not None and answer.status == 200:
            break
        await trio.sleep(60)
    else:
        return  # nobody could sell anything, so nothing is bought
    link = json.loads(answer.body)["confirmation_url"]
    if provider == "yookassa":
        town.yookassa.payments.pay(link.partition("orderId=")[2])
    else:
        town.platega.pay(link.rpartition("/")[2])


async def tell_of_the_deal(town: Town) -> None:
    """The CRM calls until it is answered."""
    for _ in range(TAPS_MAX):
        answer = await town.ask("/crm/webhook", DEAL, token=DOOR.crm_token)
        if answer is not None and answer.status < 300:
            return
        await trio.sleep(60)


async def pay_what_is_open(town: Town) -> None:
    """The customer opens the link and pays, if there is one by now."""
    for session in list(town.stripe.sessions.all.values()):
        if session["status"] == "open":
            town.stripe.sessions.pay(session["id"])
            return


async def work_on_deals(service: Service) -> None:
    """What a worker's queues do about deals, once."""
    await service.relay()
    await service.work_checkout_inbox()
