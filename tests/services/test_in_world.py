"""Stand-ins in a world: its clock, its timers, and webhooks that are lanes of our process."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from scenarios.services.in_world import carry, unix_clock, wake
from scenarios.services.platega import Platega
from scenarios.services.stripe import Stripe
from scenarios.services.yookassa import SOURCE, YooKassa
from simulator import Crash, Operator, Process, World
from simulator.database import NoDatabase
from simulator.execution import Claims, Outcome, Simulation
from simulator.network import Network
from simulator.network_http import HttpRequest, HttpResponse
from simulator.schedulers.replay import Wish

FORM = (
    b"mode=payment&success_url=https://shop.example.com&line_items[0][price_data][currency]=eur"
    b"&line_items[0][price_data][unit_amount]=100&line_items[0][price_data][product_data][name]=rest"
)
KEYED = (
    ("authorization", "Bearer sk_test_1"),
    ("content-type", "application/x-www-form-urlencoded"),
    ("idempotency-key", "rest:1680:g1"),
)
CREATE = HttpRequest("POST", "/v1/checkout/sessions", host="api.stripe.com", headers=KEYED, body=FORM)


@dataclass
class Inbox:
    """Our application: it keeps what it was told, at a point of its own, and answers as it is told to."""

    world: World
    statuses: list[int] = field(default_factory=list)
    heard: list[tuple[float, str, str]] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = json.loads((await receive())["body"])
        await self.world.point("INSERT inbox")
        self.heard.append(
            (self.world.clock.now_s, body.get("id") or body["object"]["id"], scope["client"][0])
        )
        status = self.statuses.pop(0) if self.statuses else 200
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def execute(scenario: Any, *runs: tuple[str, int], choices: dict[str, int] | None = None) -> Outcome:
    with Simulation(scenario, Claims(), NoDatabase()) as simulation:
        first = simulation.execute(Wish(choices or {}, runs))
        again = simulation.execute(Wish(choices or {}, runs))
    assert first.trace.digest() == again.trace.digest()
    return again


def listening(world: World, inbox: Inbox) -> Process:
    async def start(_process: Process) -> Inbox:
        return inbox

    return world.process("api", start)


def steps_of(outcome: Outcome) -> list[str]:
    return [f"{lane}: {point}" for lane, point, _ in outcome.trace.steps]


def customer(world: World, act: Any, *, after: timedelta = timedelta(seconds=1)) -> None:
    async def go() -> None:
        act()

    world.process("customer").run(Operator(go, name="customer", after=after))


def test_a_webhook_is_tried_by_the_providers_timetable_until_it_is_accepted() -> None:
    """Refused twice, accepted the third time; each attempt is a lane."""
    inboxes = []

    async def scenario(world: World) -> None:
        network = Network(world)
        yookassa = YooKassa(
            unix_clock(world), notify_url="https://shop.example.com/hook", ladder=(60, 120, 240)
        )
        inboxes.append(inbox := Inbox(world, statuses=[500, 302]))
        carry(
            world,
            network,
            yookassa.payments.deliveries,
            listening(world, inbox),
            name="yookassa",
            client=SOURCE,
        )
        yookassa.payments.all["p-1"] = {"id": "p-1", "status": "pending", "amount": {}}
        customer(world, lambda: yookassa.payments.decline("p-1"))
        await world.quiesce()

    outcome = execute(scenario)

    assert inboxes[-1].heard == [(1.0, "p-1", SOURCE), (61.0, "p-1", SOURCE), (181.0, "p-1", SOURCE)]
    assert "yookassa#3: answers 200 to POST /hook" in steps_of(outcome)


def test_a_process_that_is_down_for_a_quarter_of_an_hour_never_hears_from_platega() -> None:
    """Four callbacks find nobody, and then there is silence: only a poll could still find out."""
    seen = []

    async def scenario(world: World) -> None:
        network = Network(world)
        platega = Platega(unix_clock(world), callback_url="https://shop.example.com/hook")
        seen.append((platega, inbox := Inbox(world)))
        api = listening(world, inbox)
        carry(world, network, platega.deliveries, api)
        platega.transactions["t-1"] = {
            "status": "PENDING",
            "paymentDetails": {},
            "methodNumber": 2,
            "payload": "",
        }
        customer(world, lambda: platega.pay("t-1"))
        world.inject(Crash("api", down_s=16 * 60))
        await world.quiesce()

    execute(scenario, choices={"crash api": 1})

    platega, inbox = seen[-1]
    (delivery,) = platega.deliveries.all
    assert (delivery.state, delivery.answers, inbox.heard) == ("given up", [None] * 4, [])


def test_a_process_that_dies_before_its_200_is_told_again() -> None:
    """It has recorded the event and could not say so."""
    seen = []

    async def scenario(world: World) -> None:
        network = Network(world)
        stripe = Stripe(unix_clock(world), webhook_url="https://shop.example.com/hook")
        seen.append(inbox := Inbox(world))
        carry(world, network, stripe.webhooks.deliveries, listening(world, inbox))
        customer(world, lambda: stripe.webhooks.emit("checkout.session.completed", {"id": "cs_test_1"}))
        world.inject(Crash("api"))
        await world.quiesce()

    execute(scenario, choices={"crash api": 4})

    assert [(at, event) for at, event, _ in seen[-1].heard] == [(1.0, "evt_1"), (301.0, "evt_1")]


def test_copies_of_an_event_overlap() -> None:
    """Both are recorded before either is answered, if the schedule wants it."""
    seen = []

    async def scenario(world: World) -> None:
        network = Network(world)
        stripe = Stripe(unix_clock(world), webhook_url="https://shop.example.com/hook")
        stripe.webhooks.copies = 2
        seen.append(inbox := Inbox(world))
        carry(world, network, stripe.webhooks.deliveries, listening(world, inbox))
        customer(world, lambda: stripe.webhooks.emit("checkout.session.completed", {"id": "cs_test_1"}))
        await world.quiesce()

    outcome = execute(scenario, ("api start", 1), ("customer", 2), ("webhook#1", 2), ("webhook#2", 2))

    hooks = [step for step in steps_of(outcome) if step.startswith("webhook")]
    assert [step.partition(": ")[2].split()[0] for step in hooks] == [
        "starts",
        "INSERT",
        "starts",
        "INSERT",
    ] + 2 * ["answers"]
    assert len(seen[-1].heard) == 2


def test_sessions_expire_by_the_worlds_clock() -> None:
    """Nobody asks, a day passes, and the event arrives."""
    seen = []

    async def scenario(world: World) -> None:
        network = Network(world)
        stripe = Stripe(unix_clock(world), webhook_url="https://shop.example.com/hook")
        wake(world, stripe)
        seen.append(inbox := Inbox(world))
        api = listening(world, inbox)
        carry(world, network, stripe.webhooks.deliveries, api)
        network.serve("api.stripe.com", stripe, name="stripe")

        async def offer() -> HttpResponse:
            return await network.send(CREATE)

        world.process("shop").run(Operator(offer))
        await world.quiesce()

    execute(scenario)

    assert [(at, event) for at, event, _ in seen[-1].heard] == [(86_400.0, "evt_1")]


@pytest.mark.parametrize(
    ("runs", "statuses"),
    [
        ((), [200, 200]),
        ((("one", 2), ("two", 3)), [409, 200]),
    ],
)
def test_two_workers_with_one_key_get_one_session(
    runs: tuple[tuple[str, int], ...], statuses: list[int]
) -> None:
    """One after the other it is a replay; while the first request is at work it is a conflict."""
    seen = []

    async def scenario(world: World) -> None:
        network = Network(world)
        stripe = Stripe(unix_clock(world), work=network.pause)
        network.serve("api.stripe.com", stripe, name="stripe")
        heard: list[int] = []
        seen.append((stripe, heard))

        async def offer() -> None:
            heard.append((await network.send(CREATE)).status)

        world.run(Operator(offer, name="one"), Operator(offer, name="two"))
        await world.quiesce()

    execute(scenario, *runs)

    stripe, heard = seen[-1]
    assert (len(stripe.sessions.all), heard) == (1, statuses)


def test_a_worker_that_dies_at_work_leaves_its_session_behind() -> None:
    """Stripe finishes; the key then tells whoever comes next."""
    seen = []

    async def scenario(world: World) -> None:
        network = Network(world)
        stripe = Stripe(unix_clock(world), work=network.pause)
        network.serve("api.stripe.com", stripe, name="stripe")
        heard: list[HttpResponse] = []
        seen.append((stripe, heard))

        async def offer() -> None:
            heard.append(await network.send(CREATE))

        world.process("worker").run(Operator(offer, name="one"))
        world.process("other").run(Operator(offer, name="two", after=timedelta(minutes=1)))
        world.inject(Crash("worker", down_s=None))
        await world.quiesce()

    execute(scenario, choices={"crash worker": 3})

    stripe, (replayed,) = seen[-1]
    assert list(stripe.sessions.all) == ["cs_test_1"]
    assert dict(replayed.headers)["idempotent-replayed"] == "true"


def test_what_was_said_before_there_was_a_courier_is_carried_too() -> None:
    """Set-up order does not matter."""
    seen = []

    async def scenario(world: World) -> None:
        stripe = Stripe(unix_clock(world), webhook_url="https://shop.example.com/hook")
        stripe.webhooks.emit("checkout.session.completed", {"id": "cs_test_1"})
        seen.append(inbox := Inbox(world))
        carry(world, Network(world), stripe.webhooks.deliveries, listening(world, inbox))
        await world.quiesce()

    execute(scenario)

    assert [event for _, event, _ in seen[-1].heard] == ["evt_1"]
