"""Deal 1680, 2025-12-15: its rest is due, several paths may offer it, and each story lets some of them.

Every story takes the desk as a parameter, so that the same story is told of all versions. The clock times are
those of the analysis, read as UTC.
"""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from typing import Any

from reference import AmbiguousError, LaterError
from scenarios.incidents.deal_1680.account import DEAL, STRIPE, Account
from scenarios.incidents.deal_1680.deployed.stripe_api import StripeError
from scenarios.incidents.deal_1680.desks import DeployedDesk, Desk, Paths
from scenarios.services.in_world import carry, wake
from scenarios.services.kept_answers import DAY_S
from scenarios.wiring import DATABASE_ERRORS
from simulator import Crash, Cron, Operator, Webhook, World
from simulator.actors import Actor
from simulator.faults import Fault
from simulator.network_faults import LateRequest, NetworkFault

FIRST = datetime(2025, 12, 15, 22, 10, 59, tzinfo=UTC)
SECOND = datetime(2025, 12, 15, 22, 12, 24, tzinfo=UTC)
APART = SECOND - FIRST
NOW, HOUR, DAY = timedelta(0), timedelta(hours=1), timedelta(days=1)
_LISTING = timedelta(seconds=5)
TOLERATED = (*DATABASE_ERRORS, StripeError, ConnectionRefusedError, AmbiguousError, LaterError)
"""What costs a delivery, a tick or a press of a button: whatever Stripe and the database may say on a bad day."""
OTHERS = 19
"""With 19 other deals, and 5 s for each answer of Stripe's, a run of the cron takes 100 s to build its list."""


# Who takes part ----------------------------------------------------------------------------------------------------


def cron(name: str = "cron", *, after: timedelta = NOW, ticks: int = 1, every: timedelta = HOUR) -> Actor:
    """The cron of rest payments."""
    # overlap=True is node-cron's default: a run that is due does not wait for the last one.
    return Cron(_hourly, every=every, ticks=ticks, overlap=True, after=after, tolerates=TOLERATED, name=name)


def processor(*, after: timedelta = NOW) -> Actor:
    """The CRM reports a change of the deal."""
    return Webhook(_crm_webhook, DEAL, deliveries=1, after=after, tolerates=TOLERATED, name="processor")


def operator(*, after: timedelta = NOW, name: str = "operator") -> Actor:
    """A person makes a new link, now."""
    return Operator(_by_hand, DEAL, after=after, tolerates=TOLERATED, name=name)


def expired_sessions(*, after: timedelta) -> Actor:
    """The cron of expired sessions."""
    return Cron(_expired, every=DAY, after=after, tolerates=TOLERATED, name="expired sessions")


def relays(desk: Desk, *after: timedelta) -> list[Actor]:
    """Whoever finishes what others have begun, at these times; nobody, as deployed."""
    return [
        Operator(_relay, after=each, tolerates=TOLERATED, name=f"relay {number}")
        for number, each in enumerate(after if desk.has_a_relay else (), start=1)
    ]


# Stories -----------------------------------------------------------------------------------------------------------


async def offered_at_once(
    world: World, desk: Desk, *, workers: int = 2, crm: bool = False, faults: tuple[Fault, ...] = ()
) -> None:
    """The cron runs in each of the workers, and the processor, if it takes part, in the API's process."""
    account = _open(world, desk)
    for number in range(1, workers + 1):
        _process(world, desk, account, f"worker {number}").run(cron(f"cron {number}"))
    in_the_api = [*([processor()] if crm else []), *relays(desk, *_minutes(2, 4, 8))]
    if in_the_api:
        _process(world, desk, account, "api").run(*in_the_api)
    world.inject(*faults)
    await world.quiesce()


async def eighty_five_seconds_later(world: World, desk: Desk) -> None:
    """One run of the cron has ended when the next begins, 85 seconds later: the analysis's own explanation."""
    account = _open(world, desk)
    _process(world, desk, account, "worker 1").run(cron("cron 1"))
    _process(world, desk, account, "worker 2").run(cron("cron 2", after=APART))
    await world.quiesce()


async def by_hand(world: World, desk: Desk, *, operators: int = 1) -> None:
    """The link is not delivered, and people see to it."""
    account = _open(world, desk)
    account.remote.bot_works = False
    _process(world, desk, account, "worker 1").run(cron("cron 1"))
    people = [operator(after=APART, name=f"operator {number}") for number in range(1, operators + 1)]
    _process(world, desk, account, "api").run(*people, *relays(desk, *_minutes(5, 10, 20)))
    await world.quiesce()


async def with_an_error_of_stripes(world: World, desk: Desk, *, fault: NetworkFault) -> None:
    """The processor has offered the rest; 85 seconds later the cron looks; one call to Stripe fails, or none."""
    account = _open(world, desk)
    _process(world, desk, account, "shop").run(
        processor(), cron(after=APART), *relays(desk, *_minutes(4, 8, 16))
    )
    account.network.inject(fault)
    await world.quiesce()


async def with_an_error_of_the_database(world: World, desk: Desk) -> None:
    """The CRM reports two changes, 85 seconds apart, and one connection to the database is refused."""
    account = _open(world, desk)
    _process(world, desk, account, "api").run(processor(), processor(after=APART))
    await world.quiesce()


async def crash_then_processor(world: World, desk: Desk, *, later: timedelta = timedelta(minutes=5)) -> None:
    """The cron's process dies at some moment, and comes back; a while later the CRM reports a change."""
    account = _open(world, desk)
    _process(world, desk, account, "shop").run(cron(), processor(after=later))
    world.inject(Crash("shop"))
    await world.quiesce()


async def slow_request_under_a_lease(world: World, desk: Desk) -> None:
    """The cron runs every 40 seconds, also when the last run is not over; one request to Stripe needs 45 seconds."""
    account = _open(world, desk)
    often = timedelta(seconds=40)
    _process(world, desk, account, "shop").run(cron(ticks=2, every=often))
    account.network.inject(LateRequest(STRIPE, seconds=45.0))
    await world.quiesce()


async def the_day_after(
    world: World, desk: Desk, *, keeps_keys_s: float = DAY_S, crash: str | None = None
) -> None:
    """Nobody pays, the session expires, the cron runs again an hour later, and now the customer wants to pay."""
    account = _open(world, desk, keeps_keys_s=keeps_keys_s)
    wake(world, account.stripe)
    worker = _process(world, desk, account, "worker 1")
    worker.run(cron(ticks=2, every=DAY + HOUR), *relays(desk, *_minutes(2, 4), *_minutes_of_day_two(70, 80)))
    _carry(world, desk, account, "api")
    world.process("customer").run(Operator(account.pays, name="customer", after=DAY + 2 * HOUR))
    if crash is not None:
        world.inject(Crash(crash))
    await world.quiesce()


async def by_bank(world: World, desk: Desk) -> None:
    """The customer pays by a method that takes three days; the cron runs meanwhile; she pays what she is told to."""
    account = _open(world, desk)
    worker = _process(world, desk, account, "worker 1")
    worker.run(cron(ticks=2, every=DAY + HOUR), *relays(desk, *_minutes(2, 4), *_minutes_of_day_two(70, 80)))
    _carry(world, desk, account, "api")
    world.process("customer").run(
        Operator(account.pays_by_bank, name="customer by bank", after=HOUR),
        Operator(account.pays, name="customer", after=DAY + 2 * HOUR),
        Operator(account.bank_pays, name="bank", after=3 * DAY),
    )
    await world.quiesce()


async def reminded(world: World, desk: Desk) -> None:
    """Two crons at once, and when what they made has expired, the cron of expired sessions."""
    account = _open(world, desk)
    wake(world, account.stripe)
    _process(world, desk, account, "worker 1").run(cron("cron 1"), expired_sessions(after=DAY + HOUR))
    _process(world, desk, account, "worker 2").run(cron("cron 2"))
    await world.quiesce()


async def the_scheduler_runs_twice(world: World, desk: DeployedDesk) -> None:
    """The incident by the clock: two runs begin 85 seconds apart, and each needs 100 seconds for its list.

    Nothing has to overlap to the microsecond: the second run looks at deal 1680 while the first is still at its list.
    """
    needed = (OTHERS + 1) * _LISTING + _LISTING  # its list, and its own request
    world.begin_at(FIRST - needed)
    account = Account(world, answers_in_s=_LISTING.total_seconds())
    wake(world, account.stripe)
    desk.stock(world)
    desk.stock_others(world, account, OTHERS)
    _process(world, desk, account, "worker 1").run(cron("cron 1"))
    _process(world, desk, account, "worker 2").run(cron("cron 2", after=APART))
    await world.quiesce()


async def by_hand_and_nobody_pays(world: World, desk: Desk) -> None:
    """The incident by the clock, otherwise: the notice fails, a person makes a link 85 seconds later, both expire."""
    account = _open(world, desk)
    wake(world, account.stripe)
    account.remote.bot_works = False
    _process(world, desk, account, "worker 1").run(cron("cron 1"))
    _process(world, desk, account, "api").run(operator(after=APART))
    await world.quiesce()


# ---------------------------------------------------------------------------------------------------------------------


def _open(world: World, desk: Desk, *, keeps_keys_s: float = DAY_S) -> Account:
    world.begin_at(FIRST)
    account = Account(world, webhook_url=desk.webhook_url, keeps_keys_s=keeps_keys_s)
    desk.stock(world)
    return account


def _process(world: World, desk: Desk, account: Account, name: str) -> Any:
    return world.process(name, start=desk.process(world, account))


def _carry(world: World, desk: Desk, account: Account, process: str) -> None:
    """Stripe's events go to a process of their own, if this version listens to any."""
    if desk.webhook_url is not None:
        process_of_events = _process(world, desk, account, process)
        carry(
            world,
            account.network,
            account.stripe.webhooks.deliveries,
            process_of_events,
            name="stripe",
            tolerates=TOLERATED,
        )


def _minutes(*numbers: int) -> list[timedelta]:
    return [timedelta(minutes=number) for number in numbers]


def _minutes_of_day_two(*numbers: int) -> list[timedelta]:
    return [DAY + each for each in _minutes(*numbers)]


def _hourly(paths: Paths) -> Awaitable[Any]:
    return paths.hourly()


def _crm_webhook(paths: Paths, deal_id: int) -> Awaitable[Any]:
    return paths.crm_webhook(deal_id)


def _by_hand(paths: Paths, deal_id: int) -> Awaitable[Any]:
    return paths.new_link_by_hand(deal_id)


def _expired(paths: Paths) -> Awaitable[Any]:
    return paths.expired_sessions()


def _relay(paths: Paths) -> Awaitable[Any]:
    return paths.relay()
