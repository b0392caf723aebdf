"""A landing page on ports: the reference's leads among visitors, timers, sweeps and recoveries, a Mobizon and a Resend as short as can be.

`scenarios.services` has the long ones. What has gone out is counted at the providers: ``sent`` in our tables is an opinion.

Not modelled: delivery reports by themselves (a scenario sends its own), rate limits, matches of parts of numbers, keys that Resend forgets.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import trio

from reference import (
    AmbiguousError,
    KeyConflictError,
    LaterError,
    RefusedError,
    Service,
    SmsReceipt,
    SmsRecord,
)
from reference.flows import messages, messages_sender
from reference.invariants_messages import MESSAGES
from reference.model_messages import Channel, Form, Message
from scenarios.wiring import DATABASE_ERRORS, engine
from simulator import Cron, Operator, Process, Webhook, World
from simulator.actors import Actor

NOON = datetime(2026, 1, 8, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
DUE = 10 * MINUTE
STAFF = -100
PHONE, EMAIL = "+7 701 000 00 00", "ann@example.com"
ALWAYS = [invariant for invariant in MESSAGES if invariant.when == "always"]
EVENTUALLY = [invariant for invariant in MESSAGES if invariant.when == "eventually"]
_pages: list[Landing] = []  # executions come one after the other


def landing_of(_world: World) -> Landing:
    """The landing page of the execution that is under way."""
    return _pages[0]


class Mobizon:
    """Takes SMS, as often as it is asked to; what it has taken shows up in its list after a while.

    Attributes:
        trouble: what happens to the n-th send: ``lost request``, ``lost answer``, ``late`` (taken a minute after the caller gave up),
            ``busy`` (nothing taken), ``refused``, ``told late`` (taken, and answered 19 s later), ``slow`` (taken 15 s
            after it was asked).
        sleeps_s: for so long the first caller stops, with its answer in its hands; nothing can wake it.
        find_sleeps_s: for so long the first who looks stops, with the list in its hands.
        lag_s: how long the list lags behind.
        find_fails: so many looks at the list are not answered.
        taken: records, in order.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.trouble: dict[int, str] = {}
        self.sleeps_s = 0
        self.lag_s = 0
        self.find_fails = 0
        self.find_sleeps_s = 0
        self.taken: list[SmsRecord] = []
        self._sends = 0

    async def send(self, recipient: str, text: str, reference: str) -> SmsReceipt:
        """As `SmsGateway.send` says."""
        self._sends += 1
        trouble = self.trouble.get(self._sends, "")

        def take() -> SmsReceipt:
            name = f"sms-{len(self.taken) + 1}"
            self.taken.append(SmsRecord(name, recipient, text, reference, self._now()))
            self._world.note(f"{name} goes out")
            return SmsReceipt(name)

        def arrive() -> SmsReceipt | None:
            if trouble == "late":
                self._world.act_at(self._world.clock.now_s + 60, lambda: _ignored(take()))
            return take() if trouble in ("", "lost answer", "told late") else None

        if trouble == "slow":
            await trio.sleep(15)
            trouble = ""
        receipt = await self._world.call("mobizon send", arrive)
        if self.sleeps_s:
            stops_s, self.sleeps_s = self.sleeps_s, 0
            with trio.CancelScope(shield=True):  # a process that does not run feels no timeout
                await trio.sleep(stops_s)
        if trouble == "told late":
            await trio.sleep(19)
            trouble = ""
        if trouble == "busy":
            raise LaterError("code 30")
        if trouble == "refused":
            raise RefusedError("no such number")
        if receipt is None or trouble:
            await trio.sleep(25)  # the caller hangs up by then
            raise AmbiguousError(trouble)
        return receipt

    async def find(self, recipient: str, text: str, since: int, until: int) -> list[SmsRecord]:
        """As `SmsGateway.find` says."""

        def look() -> list[SmsRecord] | None:
            if self.find_fails:
                self.find_fails -= 1
                return None
            shown = min(until, self._now() - self.lag_s)
            return [
                one
                for one in self.taken
                if (one.recipient, one.text) == (recipient, text) and since <= one.accepted_at <= shown
            ]

        found = await self._world.call("mobizon find", look)
        if self.find_sleeps_s:
            stops_s, self.find_sleeps_s = self.find_sleeps_s, 0
            with trio.CancelScope(shield=True):
                await trio.sleep(stops_s)
        if found is None:
            raise AmbiguousError("no answer")
        return found

    def _now(self) -> int:
        return int(self._world.clock.now().timestamp())


def _ignored(_receipt: SmsReceipt) -> None:
    """Nobody hears of it."""


class Resend:
    """Takes a mail once for each key.

    Attributes:
        trouble: what happens to the n-th send: ``lost request``, ``lost answer``, ``busy``.
        mails: (recipient, body) by key.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.trouble: dict[int, str] = {}
        self.mails: dict[str, tuple[str, str]] = {}
        self._sends = 0

    async def send(self, to: str, _subject: str, body: str, key: str) -> str:
        """As `Mailer.send` says."""
        self._sends += 1
        trouble = self.trouble.get(self._sends, "")

        def take() -> bool:
            if trouble in ("lost request", "busy"):
                return True
            return self.mails.setdefault(key, (to, body)) == (to, body)

        if not await self._world.call("resend send", take):
            raise KeyConflictError("the key is known with another mail")
        if trouble == "busy":
            raise LaterError("429")
        if trouble:
            raise AmbiguousError(trouble)
        return f"mail-{key}"


class Landing:
    """A landing page in a world, at noon of 2026-01-08.

    Attributes:
        mobizon: what SMS went out.
        resend: what mails went out.
        alerts: what the staff were told.
    """

    def __init__(self, world: World) -> None:
        world.begin_at(NOON)
        self.world = world
        self.mobizon = Mobizon(world)
        self.resend = Resend(world)
        self.alerts: list[str] = []
        _pages[:] = [self]

    def runs(self, name: str, *actors: Actor) -> None:
        """A process, started anew after each death."""
        self.world.process(name, start=self._start).run(*actors)

    async def send(self, _chat: int, text: str, _reference: str) -> None:
        """Telegram."""
        await self.world.call("telegram sendMessage", lambda: self.alerts.append(text))

    async def _start(self, _process: Process) -> Service:
        return Service(
            engine=engine(self.world),
            providers={},
            notifier=self,
            key_servers=_NoServers(),
            sms=self.mobizon,
            mailer=self.resend,
            alerts_chat=STAFF,
        )


class _NoServers:
    async def put(self, _server_id: str, _subscription_id: str, _traffic_limit_mb: int) -> None:
        raise AssertionError("nobody buys a subscription here")

    async def remove(self, _server_id: str, _subscription_id: str) -> None:
        raise AssertionError("nobody buys a subscription here")

    async def reset_traffic(self, _server_id: str, _subscription_id: str, _reference: str) -> None:
        raise AssertionError("nobody buys a subscription here")


# Actors ------------------------------------------------------------------------------------------------------------


def form(
    answer: str = "a",
    *,
    phone: str = PHONE,
    email: str = EMAIL,
    clicks: int = 1,
    after: timedelta = timedelta(0),
    name: str = "visitor",
) -> Actor:
    """A visitor sends a form, so many times, and again when the page does not say thank you."""
    filled_in = Form(name="Ann", phone=phone, email=email, answers={"1": answer})

    async def submit(service: Service) -> None:
        await service.submit_lead(filled_in)

    return Webhook(submit, deliveries=clicks, after=after, tolerates=DATABASE_ERRORS, name=name)


def form_and_timer(*, after: timedelta = timedelta(0), name: str = "visitor") -> Actor:
    """The same, with the timer that the page's process sets; it is lost when the process dies."""
    filled_in = Form(name="Ann", phone=PHONE, email=EMAIL, answers={"1": "a"})

    async def submit(service: Service) -> None:
        submitted = await service.submit_lead(filled_in)
        await service.send_when_due(submitted.lead_id)

    return Webhook(submit, deliveries=1, after=after, tolerates=DATABASE_ERRORS, name=name)


def sweep(
    *, after: timedelta = DUE, ticks: int = 1, every: timedelta = 10 * MINUTE, name: str = "sweep"
) -> Actor:
    """What is due, and what nobody answers for."""
    return Cron(
        Service.sweep_messages, after=after, ticks=ticks, every=every, tolerates=DATABASE_ERRORS, name=name
    )


def relay(*, after: timedelta) -> Actor:
    """The outbox, with its alerts."""
    return Cron(Service.relay, after=after, every=MINUTE, ticks=2, tolerates=DATABASE_ERRORS, name="relay")


def sleeper(*, after: timedelta = DUE, stops_s: float) -> Actor:
    """The sender, stopped between the claim of the SMS and its call: `send_due`, step by step."""

    async def send(service: Service) -> None:
        while (claimed := await messages.claim(service)) is not None:
            if isinstance(claimed, Message):
                if claimed.channel is Channel.SMS:
                    await trio.sleep(stops_s)
                await messages_sender._deliver(service, claimed)

    return Operator(send, after=after, tolerates=DATABASE_ERRORS, name="sleeper")


def promise_at_least(*, after: timedelta) -> Actor:
    """Somebody decides that this SMS is rather to come twice than not at all."""

    async def promise(service: Service) -> None:
        async with service.engine.begin() as connection:
            await connection.exec_driver_sql("UPDATE messages SET promise = 'at_least' WHERE channel = 'sms'")

    return Operator(promise, name="promise", after=after, tolerates=DATABASE_ERRORS)


def report(event_id: str, *, message: str, deliveries: int, after: timedelta) -> Actor:
    """Mobizon reports a delivery."""
    body = {
        "eventType": "sms-delivery-report",
        "eventId": event_id,
        "data": {"messageId": message, "status": "DELIVRD"},
    }
    return Webhook(
        Service.mobizon_webhook,
        body,
        deliveries=deliveries,
        after=after,
        tolerates=DATABASE_ERRORS,
        name=f"report {event_id}",
    )
