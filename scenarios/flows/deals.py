"""A sales desk on ports: the reference's deals among the CRM, crons, operators and customers, all over one database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from reference import AmbiguousError, DealStatus, DealUpdate, LaterError, PaymentKind, Service, SessionStatus
from reference.invariants_rest import REST
from scenarios.flows.deals_stripe import Stripe
from scenarios.wiring import DATABASE_ERRORS, engine
from simulator import Cron, Operator, Process, Webhook, World
from simulator.actors import Actor

NOON = datetime(2026, 1, 8, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
DEAL, CUSTOMER = 1680, 7
ALWAYS = [invariant for invariant in REST if invariant.when == "always"]
EVENTUALLY = [invariant for invariant in REST if invariant.when == "eventually"]
DEBT = f"rest:{DEAL}"
FIRST = "cs_test_1"
CLOSED = 23 * HOUR + 10 * MINUTE  # the page of noon has closed itself, and Stripe still knows its key
AT_A_CREATION = ("", "lost request", "lost answer", "kept 500", "slow", "late")
"""What may happen to a creation, whichever it is; see `Stripe.trouble`."""
TOLERATED = (*DATABASE_ERRORS, AmbiguousError, LaterError)
_desks: list[Desk] = []  # executions come one after the other


def desk_of(_world: World) -> Desk:
    """The desk of the execution that is under way."""
    return _desks[0]


class Desk:
    """One desk in a world, at noon of 2026-01-08: deal 1680 closes in ten days, so its rest is due as soon as the deposit is settled.

    Attributes:
        stripe: the account.
        told: what reached the customer: text and reference, in order.
        closed_links: links that reached her, and for how many seconds their pages had been closed.
    """

    def __init__(self, world: World) -> None:
        world.begin_at(NOON)
        self.world = world
        self.stripe = Stripe(world)
        self.told: list[tuple[str, str]] = []
        self.closed_links: list[tuple[str, int]] = []
        self.bot_works = True
        world.database.insert("users", id=CUSTOMER)
        _desks[:] = [self]

    def has_deal(
        self,
        deal_id: int = DEAL,
        *,
        amount_minor: int = 100_000,
        schedule: str = "50/50",
        deposit_settled: bool = True,
    ) -> None:
        """A deal as the flows leave it, with its deposit settled a month ago."""
        made = int((NOON - 31 * DAY).timestamp())
        closes = int((NOON + 10 * DAY).timestamp())
        insert, half = self.world.database.insert, amount_minor - amount_minor // 2
        insert(
            "deals",
            id=deal_id,
            title=f"Deal {deal_id}",
            user_id=CUSTOMER,
            amount_minor=amount_minor,
            close_date=closes,
            schedule=schedule,
            created_at=made,
            updated_at=made,
        )
        if schedule != "50/50" or not deposit_settled:
            return
        claim, session = f"deposit:{deal_id}:g1", f"cs_test_deposit_{deal_id}"
        insert(
            "session_claims",
            id=claim,
            deal_id=deal_id,
            kind="deposit",
            generation=1,
            state="paid",
            amount_minor=half,
            currency="EUR",
            expires_at=made + 3600,
            idempotency_key=f"turnstile:{claim}",
            request_body="",
            request_hash="",
            session_id=session,
            received_minor=half,
            received_currency="EUR",
            claimed_at=made,
            closed_at=made,
        )
        insert(
            "settlements",
            deal_id=deal_id,
            kind="deposit",
            session_id=session,
            amount_minor=half,
            currency="EUR",
            settled_at=made,
        )

    def has_expired_claim(self) -> None:
        """The rest's first page, closed by the hour, of which we did not hear that she had paid it."""
        ends = int(NOON.timestamp()) - 3600
        session = self.stripe.add(f"{DEBT}:g1", 50_000, "EUR", ends + 7200)
        self.stripe.pay(session.id)
        self.world.database.insert(
            "session_claims",
            id=f"{DEBT}:g1",
            deal_id=DEAL,
            kind="rest",
            generation=1,
            state="expired",
            closed_why="session_expired",
            amount_minor=50_000,
            currency="EUR",
            expires_at=ends,
            idempotency_key=f"turnstile:{DEBT}:g1",
            request_body="",
            request_hash="",
            session_id=session.id,
            claimed_at=ends - 3600,
            closed_at=ends,
        )

    def runs(self, name: str, *actors: Actor) -> None:
        """A process of the desk, started anew after each death."""
        self.world.process(name, start=self._start).run(*actors)

    def outside(
        self, does: Callable[[], Any], *, name: str, after: timedelta, every: timedelta = DAY, times: int = 1
    ) -> None:
        """Somebody who is not ours does something at Stripe."""

        async def act() -> None:
            await self.world.call(name, does)

        self.world.process(name).run(Cron(act, after=after, every=every, ticks=times, name=name))

    def pays(self, *, every_open_page: bool = False) -> None:
        """The customer opens the last link she was sent, or all of them, and pays where she can."""
        links = [self._session_in(text) for text, _ in self.told if "https://checkout" in text]
        for session in dict.fromkeys(reversed(links)):
            if self.stripe.sessions[session].status is SessionStatus.OPEN:
                self.stripe.pay(session)
                if not every_open_page:
                    return

    @staticmethod
    def _session_in(text: str) -> str:
        return text.partition("https://checkout.example.com/")[2].split()[0]

    async def send(self, _user_id: int, text: str, reference: str) -> None:
        """Telegram."""

        def deliver() -> bool:
            if self.bot_works:
                self.told.append((text, reference))
                if "https://checkout" in text:
                    self.closed_links.append((text, self.stripe.closed_for_s(self._session_in(text))))
            return self.bot_works

        if not await self.world.call("telegram sendMessage", deliver):
            raise LaterError("no connection to Telegram")

    async def _start(self, _process: Process) -> Service:
        return Service(
            engine=engine(self.world),
            providers={},
            notifier=self,
            key_servers=_NoServers(),
            checkout_sessions=self.stripe,
        )


def desk_with_deal(world: World, **deal: Any) -> Desk:
    """A desk with deal 1680; see `Desk.has_deal`."""
    desk = Desk(world)
    desk.has_deal(**deal)
    return desk


class _NoServers:
    async def put(self, _server_id: str, _subscription_id: str, _traffic_limit_mb: int) -> None:
        raise AssertionError("nobody buys a subscription here")

    async def remove(self, _server_id: str, _subscription_id: str) -> None:
        raise AssertionError("nobody buys a subscription here")

    async def reset_traffic(self, _server_id: str, _subscription_id: str, _reference: str) -> None:
        raise AssertionError("nobody buys a subscription here")


# Actors ------------------------------------------------------------------------------------------------------------


def hourly(*, after: timedelta = timedelta(0), ticks: int = 1, name: str = "hourly") -> Actor:
    """The sweep over deals."""
    return _cron(Service.offer_what_is_due, after=after, ticks=ticks, every=HOUR, name=name)


def daily(*, after: timedelta = timedelta(0), name: str = "daily") -> Actor:
    """The run at 09:00: the sweep, and reminders."""
    return _cron(Service.daily_payment_run, after=after, ticks=1, every=DAY, name=name)


def watch(*, after: timedelta, ticks: int = 1, every: timedelta = 10 * MINUTE, name: str = "watch") -> Actor:
    """The sweep over sessions."""
    return _cron(Service.watch_sessions, after=after, ticks=ticks, every=every, name=name)


def worker(
    *,
    after: timedelta = timedelta(0),
    ticks: int = 2,
    every: timedelta = 10 * MINUTE,
    name: str = "worker",
    events: bool = True,
) -> Actor:
    """The jobs of the outbox, and Stripe's events."""

    async def work(service: Service) -> None:
        if events:
            await service.work_checkout_inbox()
        await service.relay()

    return _cron(work, after=after, ticks=ticks, every=every, name=name)


def _cron(
    program: Callable[..., Awaitable[Any]], *, after: timedelta, ticks: int, every: timedelta, name: str
) -> Actor:
    return Cron(program, every=every, ticks=ticks, after=after, tolerates=TOLERATED, name=name)


def crm(
    *,
    after: timedelta = timedelta(0),
    deliveries: int = 1,
    at_the_door: bool = False,
    name: str = "crm",
    **changes: Any,
) -> Actor:
    """The CRM tells of deal 1680, and is answered when the deal is taken over, or when the offer is made."""
    news = DealUpdate(
        DEAL,
        f"Deal {DEAL}",
        DealStatus.OPEN,
        CUSTOMER,
        100_000,
        "EUR",
        int((NOON + 10 * DAY).timestamp()),
        2,
    )
    program = Service.crm_webhook_received if at_the_door else Service.crm_webhook
    return Webhook(
        program,
        replace(news, **changes),
        deliveries=deliveries,
        after=after,
        tolerates=TOLERATED,
        name=name,
    )


def event(
    session_id: str,
    kind: str = "completed",
    *,
    after: timedelta,
    deliveries: int = 1,
    at_the_door: bool = False,
    name: str = "",
) -> Actor:
    """Stripe tells of a session; twins have ids of their own, which nobody goes by."""
    body = {
        "id": f"evt_{kind}",
        "type": f"checkout.session.{kind}",
        "data": {"object": {"id": session_id, "object": "checkout.session"}},
    }
    program = Service.stripe_webhook_received if at_the_door else Service.stripe_webhook
    return Webhook(
        program,
        body,
        deliveries=deliveries,
        after=after,
        tolerates=TOLERATED,
        name=name or f"{kind} {session_id}",
    )


def new_link(*, after: timedelta = timedelta(0), name: str = "operator") -> Actor:
    """A person makes a new link, now."""
    return operator(
        lambda service: service.new_payment_link(DEAL, PaymentKind.REST, operator="anna"),
        after=after,
        name=name,
    )


def operator(
    does: Callable[[Service], Awaitable[Any]], *, name: str, after: timedelta = timedelta(0)
) -> Actor:
    """A person."""
    return Operator(does, name=name, after=after, tolerates=TOLERATED)


def statement(sql: str) -> Callable[[Service], Awaitable[None]]:
    """What a person types into the database's console."""

    async def execute(service: Service) -> None:
        async with service.engine.begin() as connection:
            await connection.exec_driver_sql(sql)

    return execute
