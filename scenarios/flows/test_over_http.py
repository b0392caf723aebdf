"""Webhooks over HTTP: what was answered with 200 is written down, whoever dies; what is written down is worked off once, however often
it was said; and what a stranger says is not even written down.

Nothing but webhooks brings the news here: no poller, no sweep over pending payments. What they lose is lost.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import trio

from reference import Service
from reference.storage.schema import metadata
from scenarios.flows.real_clients import ALWAYS, DOOR, EVENTUALLY, MINUTE, NOON, Town, town_of, turns
from scenarios.flows.visitors import (
    DEAL,
    MONTH_S,
    PRICE_MINOR,
    TARIFF,
    buy_and_pay,
    pay_what_is_open,
    tell_of_the_deal,
    work_on_deals,
    work_on_payments,
)
from scenarios.services.stripe_webhooks import sign
from scenarios.services.yookassa import SOURCE
from scenarios.wiring import DATABASE_ERRORS
from simulator import Crash, Cron, Operator, Process, Restart, World, restarted, simulate
from simulator.network_http import HttpRequest, NoReplyError, UnreachableError
from simulator.oracles import Claim

TICKETS = 5
_WRITTEN = """
    SELECT object_id FROM inbox UNION SELECT object_id FROM checkout_inbox
"""


def what_was_answered_is_written_down(world: World) -> str | None:
    """A provider that has heard 200 never comes again, so by then the news has to be in our tables."""
    town = town_of(world)
    written = {row["object_id"] for row in world.database.rows(_WRITTEN)}
    for deliveries in (
        town.yookassa.payments.deliveries,
        town.platega.deliveries,
        town.stripe.webhooks.deliveries,
    ):
        for delivery in deliveries.all:
            about = _object_of(json.loads(delivery.render(delivery).body))
            if delivery.state == "delivered" and about not in written:
                return f"{delivery.about} was answered with 200, and there is no row about {about}"
    return None


def _object_of(body: dict[str, Any]) -> str:
    about = body.get("object") if "event" in body else body.get("data", {}).get("object", body)
    assert isinstance(about, dict)
    return str(about["id"])


def a_repetition_was_blocked(world: World) -> str | None:
    """Reached: something was said twice, and there is one row of it."""
    rows = "SELECT object_id FROM inbox WHERE deliveries > 1 UNION SELECT object_id FROM checkout_inbox WHERE deliveries > 1"
    return "a repetition met the first" if world.database.rows(rows) else None


def a_webhook_was_worked_off(world: World) -> str | None:
    """Reached: the money that a webhook told of counts."""
    rows = "SELECT id FROM payments WHERE status = 'completed' UNION SELECT session_id FROM settlements"
    return "what was paid is settled" if world.database.rows(rows) else None


def a_town(world: World) -> Town:
    """One shop, its providers, a month for money, and a contest that gives tickets for it."""
    town = Town(world)
    insert = world.database.insert
    insert("tariffs", id=TARIFF, title="month", price_minor=PRICE_MINOR, duration_sec=MONTH_S)
    began = int(NOON.timestamp()) - 86_400
    insert(
        "contests",
        id="january",
        starts_at=began,
        ends_at=began + 30 * 86_400,
        attribution_window_days=30,
        is_active=True,
    )
    insert("contest_tickets", contest_id="january", tariff_id=TARIFF, tickets=TICKETS)
    return town


def queues(program: Callable[[Service], Awaitable[Any]]) -> Cron:
    """A worker's queues."""
    return turns(program, after=timedelta(seconds=5), every=5 * MINUTE, ticks=6, name="queues")


async def knock(town: Town, path: str, body: Any, **headers: str) -> int | None:
    """A stranger sends what a provider would; returns the status."""
    sent = (
        ("content-type", "application/json"),
        *((name.replace("_", "-"), value) for name, value in headers.items()),
    )
    request = HttpRequest("POST", path, headers=sent, body=json.dumps(body).encode(), client="198.51.100.66")
    try:
        answer = await town.network.deliver(town.api, request, name="stranger", tolerates=DATABASE_ERRORS)
    except (NoReplyError, UnreachableError):
        return None
    return answer.status


async def forge(world: World, town: Town) -> None:
    """Somebody who knows our addresses, and the providers' words, and no secret."""
    news = {"type": "notification", "event": "payment.succeeded", "object": {"id": "forged"}}
    event = {"id": "evt_forged", "type": "checkout.session.completed", "data": {"object": {"id": "forged"}}}
    body = json.dumps(event).encode()
    now = world.clock.now().timestamp()
    answers = [
        await knock(town, "/yookassa/webhook", news, x_forwarded_for=SOURCE),
        await knock(
            town, "/platega/webhook", {"id": "forged", "status": "CONFIRMED"}, x_merchantid="merchant-1"
        ),
        await knock(town, "/stripe/webhook", event, stripe_signature=sign(body, ["whsec_guess"], now)),
        await knock(
            town, "/stripe/webhook", event, stripe_signature=sign(body, DOOR.stripe_secrets, now + 86_400)
        ),
    ]
    answers.append(await knock(town, "/crm/webhook", DEAL))
    expected = [403, 401, 400, 400, 401]
    assert all(answer in (None, status) for answer, status in zip(answers, expected, strict=True)), answers


def only_the_providers_were_heard(world: World) -> None:
    """Not a row of what the stranger said."""
    assert world.database.rows("SELECT 1 FROM inbox WHERE object_id = 'forged'") == []
    assert world.database.rows("SELECT 1 FROM checkout_inbox WHERE object_id = 'forged'") == []


async def a_payment_by_webhooks_alone(world: World, provider: str) -> Town:
    """One payment; each notification twice; an API that dies and a worker that is restarted."""
    town = a_town(world)
    town.yookassa.payments.copies = town.platega.copies = 2
    world.run(Operator(buy_and_pay, town, provider, name="buyer"))
    town.worker.run(queues(work_on_payments))
    world.inject(Crash("api"), Restart("worker"))
    return town


def is_delivered_once(town: Town, world: World) -> None:
    """What the provider counts as paid has been granted and awarded, once."""
    paid = [one for one in town.yookassa.payments.all.values() if one["status"] == "succeeded"]
    paid += [one for one in town.platega.transactions.values() if one["status"] == "CONFIRMED"]
    assert len(world.database.rows("SELECT 1 FROM entitlement_grants")) == len(paid)
    (awarded,) = world.database.rows("SELECT COALESCE(SUM(delta), 0) AS n FROM ticket_ledger")
    assert awarded["n"] == TICKETS * len(paid)


CLAIMS: list[Claim] = [*ALWAYS, what_was_answered_is_written_down]
REACHED: list[Claim] = [
    restarted("api"),
    restarted("worker"),
    a_repetition_was_blocked,
    a_webhook_was_worked_off,
]


@simulate(schema=metadata, always=CLAIMS, eventually=EVENTUALLY, sometimes=REACHED, executions=40)
async def test_yookassas_notifications_at_both_addresses(world: World) -> None:
    """Four deliveries of one fact, among forged ones: one row, one grant, one award."""
    town = await a_payment_by_webhooks_alone(world, "yookassa")
    world.run(Operator(forge, world, town, name="stranger", after=timedelta(seconds=1)))
    tell_both_addresses(world, town)
    await world.quiesce()
    is_delivered_once(town, world)
    only_the_providers_were_heard(world)


def tell_both_addresses(world: World, town: Town) -> None:
    """The shop's cabinet names one address; the bot's API was made another. Here a proxy sends everything to both."""

    async def copy() -> None:
        await trio.sleep(2)
        for delivery in list(town.yookassa.payments.deliveries.all):
            message = delivery.render(delivery)
            request = HttpRequest(
                "POST", "/v1/payments/webhook", headers=message.headers, body=message.body, client=SOURCE
            )
            try:
                await town.network.deliver(
                    town.api, request, name="second address", tolerates=DATABASE_ERRORS
                )
            except (NoReplyError, UnreachableError):
                return

    world.run(Operator(copy, name="proxy"))


@simulate(schema=metadata, always=CLAIMS, eventually=EVENTUALLY, sometimes=REACHED, executions=40)
async def test_plategas_callbacks(world: World) -> None:
    """Two copies, four tries, a quarter of an hour; then silence."""
    town = await a_payment_by_webhooks_alone(world, "platega")
    world.run(Operator(forge, world, town, name="stranger", after=timedelta(seconds=1)))
    await world.quiesce()
    is_delivered_once(town, world)
    only_the_providers_were_heard(world)


@simulate(schema=metadata, always=CLAIMS, eventually=EVENTUALLY, sometimes=REACHED, executions=40)
async def test_stripes_events(world: World) -> None:
    """Twin Event objects, each sent twice, each attempt signed anew; the CRM's word becomes a page by a job, and not by the answer."""
    town = a_town(world)
    town.stripe.webhooks.twins, town.stripe.webhooks.copies = 1, 2
    world.run(
        Operator(tell_of_the_deal, town, name="crm"),
        Operator(pay_what_is_open, town, after=8 * MINUTE, name="customer"),
        Operator(forge, world, town, name="stranger", after=8 * MINUTE),
    )
    town.worker.run(queues(work_on_deals))
    world.inject(Crash("api"), Restart("worker"))
    await world.quiesce()
    settled = [row["session_id"] for row in world.database.rows("SELECT session_id FROM settlements")]
    paid = [one["id"] for one in town.stripe.sessions.all.values() if one["payment_status"] == "paid"]
    assert settled == paid
    only_the_providers_were_heard(world)


# An ablation: the same application behind a door that answers first and writes afterwards -----------------------------


class HastyTown(Town):
    """Answers 200 as soon as it has the body, which is quicker; the row follows."""

    async def _serve(self, process: Process) -> Any:
        application = await super()._serve(process)

        async def hasty(scope: Any, receive: Any, send: Any) -> None:
            if "webhook" not in scope["path"]:
                await application(scope, receive, send)
                return
            body = await receive()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"{}"})
            await application(scope, _once(body), _ignored)

        return hasty


def _once(message: Any) -> Any:
    async def receive() -> Any:
        return message

    return receive


async def _ignored(_message: Any) -> None:
    return None


async def one_notification(world: World, kind: type[Town]) -> None:
    """A buyer gives up, YooKassa says so, and the API may die meanwhile."""
    town = kind(world)
    town.yookassa.payments.all["remote-1"] = {"id": "remote-1", "status": "pending", "amount": {}}

    async def give_up() -> None:
        town.yookassa.payments.decline("remote-1")

    world.run(Operator(give_up, name="buyer", after=timedelta(seconds=1)))
    world.inject(Crash("api"))
    await world.quiesce()


@simulate(schema=metadata, eventually=[what_was_answered_is_written_down], executions=40)
async def test_an_answer_after_the_row_loses_nothing(world: World) -> None:
    """Whenever the API dies."""
    await one_notification(world, Town)


@simulate(schema=metadata, finds=what_was_answered_is_written_down, scheduler="bounded")
async def test_an_answer_before_the_row_loses_the_news(world: World) -> None:
    """The API dies in between: the provider is content, and we know of nothing."""
    await one_notification(world, HastyTown)
