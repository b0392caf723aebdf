"""Two workers with the production schedule's loops, in one world: whatever dies, pauses or is restarted, everything is done, and once.

The loops are `reference.worker.run`, as in production; only the intervals are longer, because a world in which nothing ever rests cannot
come to an end. Each worker is started by its process's factory, so a restart starts it again, and is told to stop after twelve minutes.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import trio
from sqlalchemy import update

from reference import ALL, Provider, ProviderPayment, ProviderStatus, Service, Topic
from reference.flows import outbox
from reference.invariants import every_paid_payment_is_delivered, keys_match_what_is_wanted
from reference.storage import schema, transactions
from reference.storage.schema import metadata
from reference.worker import SCHEDULE, Entry, Queue, run
from scenarios.wiring import DATABASE_ERRORS, Remote, engine
from simulator import Crash, Pause, Process, Restart, Webhook, World, restarted, simulate

BEGIN = datetime(2026, 1, 8, 20, 27, 23, tzinfo=UTC)
END_S = 720  # after the longest lease, 300 s, and the pauses after it
BUYER, PRICE_MINOR, MONTH_S = 7, 19_900, 30 * 86_400
PAYMENTS = ("p-1", "p-2")
IN_THIS_STORY = ("inbox", "grants", "notices", "keys", "pending payments")


def slow(entry: Entry) -> Entry:
    """The same work at a pace at which a world can be looked at: queues every three minutes, sweeps every six.

    The lease of a sweep is shorter than the story, or a worker that dies in one would keep it until after the end.
    """
    if isinstance(entry, Queue):
        return replace(entry, every_s=180.0)
    return replace(entry, every_s=360, cron=None, lease_s=120)


SLOWLY = tuple(slow(entry) for entry in SCHEDULE if entry.name in IN_THIS_STORY)


class Outside:
    """Provider, bot and key server; a call and its answer are two points."""

    def __init__(self, world: World) -> None:
        self._remote = Remote(world)
        self.keys: dict[str, int] = {}

    @property
    def told(self) -> list[str]:
        """What the buyer has read."""
        return self._remote.told

    async def create(self, _request: Any) -> Any:
        raise AssertionError("the payments are there when the story begins")

    async def look_up(self, provider_payment_id: str) -> ProviderPayment:
        await self._remote.is_paid(provider_payment_id)
        return ProviderPayment(ProviderStatus.SUCCEEDED, PRICE_MINOR, "RUB")

    async def send(self, user_id: int, text: str, _reference: str) -> None:
        await self._remote.send_message(user_id, text)

    async def put(self, server_id: str, subscription_id: str, traffic_limit_mb: int) -> None:
        await self._remote.create_key(1, BUYER)
        self.keys[f"{server_id} {subscription_id}"] = traffic_limit_mb

    async def remove(self, _server_id: str, _subscription_id: str) -> None:
        raise AssertionError("nobody loses a key in this story")

    async def reset_traffic(self, _server_id: str, _subscription_id: str, reference: str) -> None:
        await self._remote.reset_traffic(1, reference)


MakeService = Callable[..., Service]


def two_workers(world: World) -> Outside:
    """A buyer has two payments; the provider tells of the first one only, twice. The sweep finds the other."""
    world.begin_at(BEGIN)
    outside = Outside(world)
    now = int(BEGIN.timestamp())
    world.database.insert("users", id=BUYER)
    world.database.insert("tariffs", id=1, price_minor=PRICE_MINOR, duration_sec=MONTH_S)
    world.database.insert("servers", id="nl-1")
    for payment in PAYMENTS:
        world.database.insert(
            "payments",
            id=payment,
            create_key=f"tap:{payment}",
            provider="yookassa",
            provider_payment_id=payment,
            user_id=BUYER,
            tariff_id=1,
            amount_minor=PRICE_MINOR,
            duration_sec=MONTH_S,
            created_at=now - 600,
        )
    service = partial(
        Service,
        engine=engine(world),
        providers={Provider.YOOKASSA: outside},
        notifier=outside,
        key_servers=outside,
    )
    body = {"type": "notification", "event": "payment.succeeded", "object": {"id": PAYMENTS[0]}}
    world.process("api", start=_serving(service)).run(
        Webhook(
            Service.yookassa_webhook_received, body, deliveries=2, tolerates=DATABASE_ERRORS, name="webhook"
        )
    )
    for name in ("worker-1", "worker-2"):
        world.process(name, start=_working(service))
    return outside


def a_key_is_due(world: World, *, make: MakeService = Service) -> None:
    """One job, one worker, one lane: small enough for a crash to find every gap."""
    world.begin_at(BEGIN)
    now = int(BEGIN.timestamp())
    world.database.insert("users", id=BUYER)
    world.database.insert("servers", id="nl-1")
    world.database.insert(
        "subscriptions",
        id="sub",
        user_id=BUYER,
        token="t",
        expires_at=now + MONTH_S,
        policy="manual",
        created_at=now,
        updated_at=now,
    )
    world.database.insert(
        "outbox",
        dedupe_key="provision:sub",
        topic="provision",
        subscription_id="sub",
        created_at=now,
        next_at=now,
    )
    outside = Outside(world)
    service = partial(make, engine=engine(world), providers={}, notifier=outside, key_servers=outside)
    keys = tuple(entry for entry in SLOWLY if entry.name == "keys")
    world.process("worker-1", start=_working(service, keys))


def _serving(make: Callable[[], Service]) -> Callable[[Process], Awaitable[Service]]:
    async def start(_process: Process) -> Service:
        return make()

    return start


def _working(
    make: Callable[[], Service], schedule: tuple[Entry, ...] = SLOWLY
) -> Callable[[Process], Awaitable[None]]:
    async def start(process: Process) -> None:
        process.start_soon(_work, make(), process.stopping, schedule, name=f"{process.name} loops")

    return start


async def _work(service: Service, stopping: trio.Event, schedule: tuple[Entry, ...]) -> None:
    """SIGINT stops it (the process's `stopping`), and so does the end of the story."""

    async def end() -> None:
        await trio.sleep(max(0.0, BEGIN.timestamp() + END_S - time.time()))
        stopping.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(end)
        await run(service, stopping=stopping, schedule=schedule, tasks=1, grace_s=1.0)
        nursery.cancel_scope.cancel()


def both_payments_count(world: World) -> str | None:
    """Two months for two payments."""
    rows = world.database.rows("SELECT expires_at - created_at AS runs FROM subscriptions")
    return None if [row["runs"] for row in rows] == [2 * MONTH_S] else f"subscriptions run for {rows}"


def the_workers_shared_the_work(world: World) -> str | None:
    """Reached when a sweep was run more than once: somebody took it after somebody else."""
    rows = world.database.rows("SELECT fence FROM sweeps WHERE fence > 1")
    return "shared" if rows else None


@simulate(
    schema=metadata,
    always=[each for each in ALL if each.when == "always"],
    eventually=[*(each for each in ALL if each.when == "eventually"), both_payments_count],
    sometimes=[the_workers_shared_the_work, restarted("worker-1"), restarted("worker-2")],
    executions=25,
)
async def test_two_workers_do_everything_once(world: World) -> None:
    """One dies without a word, the other is restarted gracefully, and either may have slept before."""
    two_workers(world)
    world.inject(Crash("worker-1"), Restart("worker-2"), Pause("worker-2"))
    await world.quiesce()


class Hasty(Service):
    """An ablation: it notes a job as done and then does it, so that nothing is ever done twice."""

    async def relay(self, *, topics: Iterable[Topic] = tuple(Topic), jobs_max: int = 1) -> int:
        """Take, report, do."""
        job = await outbox._claim(self, [topic.value for topic in topics])
        if job is None:
            return 0
        table = schema.outbox
        done = (
            update(table)
            .where(table.c.dedupe_key == job.dedupe_key)
            .values(done_at=self.now(), lease_until=None)
        )
        await transactions.atomically(self.engine, lambda connection: connection.execute(done))
        await outbox.HANDLERS[job.topic](self, job)
        return jobs_max


@simulate(schema=metadata, finds=keys_match_what_is_wanted, shrinking=False, executions=100)
async def test_a_worker_that_reports_before_it_works_loses_a_key(world: World) -> None:
    """Killed in between, the job is done by the books, and the server never hears of the key."""
    a_key_is_due(world, make=Hasty)
    world.inject(Crash("worker-1"))
    await world.quiesce()


@simulate(
    schema=metadata, eventually=[keys_match_what_is_wanted], sometimes=[restarted("worker-1")], executions=40
)
async def test_the_worker_does_not_lose_it(world: World) -> None:
    """The same story with the reference's own relay, which reports afterwards."""
    a_key_is_due(world)
    world.inject(Crash("worker-1"))
    await world.quiesce()


@simulate(schema=metadata, eventually=[every_paid_payment_is_delivered], executions=20)
async def test_what_nobody_tells_us_is_found_by_the_sweep(world: World) -> None:
    """No webhook is ever sent for the second payment: the workers' sweep asks the provider."""
    outside = two_workers(world)
    await world.quiesce()

    rows = world.database.rows("SELECT status FROM payments ORDER BY id")
    assert [row["status"] for row in rows] == ["completed", "completed"]
    assert len(outside.told) == len(set(outside.told)) == 2
