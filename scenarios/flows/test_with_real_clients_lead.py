"""A lead's SMS and mail, end to end through the real clients, with answers that get lost and workers that die."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace

import pytest
import trio

for needed in ("httpx", "starlette", "stripe"):
    pytest.importorskip(needed, reason="needs the reference's own parts: pip install 'turnstile[reference]'")

from reference import AmbiguousError, Mailer, Service, SmsGateway, SmsReceipt  # noqa: E402
from reference.clients import Clients  # noqa: E402
from reference.storage.schema import metadata  # noqa: E402
from scenarios.flows.real_clients import ALWAYS, EVENTUALLY, MINUTE, TAPS_MAX, Town, town_of, turns  # noqa: E402
from simulator import Crash, Operator, Restart, World, simulate  # noqa: E402
from simulator.network_faults import LateReply, LostReply, ServerError  # noqa: E402
from simulator.oracles import Claim  # noqa: E402

FORM = {"name": "Ann", "phone": "+7 701 000 00 00", "email": "ann@example.com", "answers": {"1": "a"}}


async def fill_in(town: Town) -> None:
    """A visitor sends the form until the page says thank you."""
    for _ in range(TAPS_MAX):
        answer = await town.ask("/api/landing/proftest", FORM)
        if answer is not None and answer.status < 300:
            return
        await trio.sleep(60)


def at_most_one_sms(world: World) -> str | None:
    """An SMS costs money each time."""
    taken = town_of(world).mobizon.accepted
    return f"{len(taken)} SMS for one lead" if len(taken) > 1 else None


def at_most_one_mail(world: World) -> str | None:
    """Within a day, by its key."""
    taken = town_of(world).resend.accepted
    return f"{len(taken)} mails for one lead" if len(taken) > 1 else None


def what_is_sent_has_gone_out(world: World) -> str | None:
    """Our word on a message is the provider's; a message that went out and is not called sent is one that was given up unseen."""
    town = town_of(world)
    gone_out = {"sms": len(town.mobizon.accepted), "email": len(town.resend.accepted)}
    for row in world.database.rows("SELECT channel, state FROM messages"):
        if (row["state"] == "sent") != bool(gone_out[row["channel"]]):
            return f"{row['channel']} is {row['state']}; went out: {gone_out[row['channel']]}"
    return None


def both_have_arrived(world: World) -> str | None:
    """Reached when an SMS and a mail went out."""
    town = town_of(world)
    return "both" if town.mobizon.accepted and town.resend.accepted else None


def an_sms_was_found_by_looking(world: World) -> str | None:
    """Reached when an answer was lost and Mobizon's list told."""
    rows = world.database.rows("SELECT 1 FROM message_attempts WHERE outcome = 'found'")
    return "found" if rows else None


LEAD: list[Claim] = [*EVENTUALLY, at_most_one_sms, at_most_one_mail, what_is_sent_has_gone_out]


async def a_lead(world: World, *, changed: Callable[[Clients], Clients] = lambda clients: clients) -> Town:
    """A form, and two workers that sweep every few minutes."""
    town = Town(world, mobizon_lag_s=world.choose("lag of Mobizon's list, s", [0.0, 120.0]), changed=changed)
    world.run(Operator(fill_in, town, name="visitor"))
    sweep = Service.sweep_messages
    town.worker.run(turns(sweep, after=10 * MINUTE, every=3 * MINUTE, ticks=7, name="sweep"))
    other = world.process("worker 2", town.work)
    other.run(turns(sweep, after=10 * MINUTE, every=5 * MINUTE, ticks=2, name="sweep"))
    return town


@simulate(
    schema=metadata,
    always=ALWAYS,
    eventually=LEAD,
    sometimes=[both_have_arrived, an_sms_was_found_by_looking],
    executions=60,
)
async def test_a_lead_is_told_once(world: World) -> None:
    """Ten minutes later, by SMS and by mail, whatever answer is lost, whoever dies, and however far Mobizon's list lags behind."""
    town = await a_lead(world)
    town.network.inject(
        LostReply("mobizon"), LostReply("resend"), ServerError("mobizon", applied=True), LateReply("resend")
    )
    world.inject(Crash("worker"), Restart("api"))
    await world.quiesce()


class SentUntilAnswered:
    """The plain way to be sure that an SMS went out."""

    def __init__(self, sms: SmsGateway) -> None:
        self._sms = sms
        self.find = sms.find

    async def send(self, recipient: str, text: str, reference: str) -> SmsReceipt:
        try:
            return await self._sms.send(recipient, text, reference)
        except AmbiguousError:
            return await self._sms.send(recipient, text, reference)


@simulate(schema=metadata, eventually=LEAD, finds=at_most_one_sms, shrinking=False)
async def test_to_send_until_there_is_an_answer_is_to_send_twice(world: World) -> None:
    """Without the guard: a client that repeats what has no key."""

    def changed(clients: Clients) -> Clients:
        assert clients.sms is not None
        return replace(clients, sms=SentUntilAnswered(clients.sms))

    town = await a_lead(world, changed=changed)
    town.network.inject(ServerError("mobizon", applied=True))
    await world.quiesce()


class MailWithoutAKey:
    """A mailer that is given another key by each call."""

    def __init__(self, mailer: Mailer) -> None:
        self._mailer = mailer

    async def send(self, to: str, subject: str, body: str, _key: str) -> str:
        return await self._mailer.send(to, subject, body, str(uuid.uuid4()))


@simulate(schema=metadata, eventually=LEAD, finds=at_most_one_mail, shrinking=False)
async def test_a_mail_without_our_key_comes_twice(world: World) -> None:
    """Without the guard: both attempts are lost within one call, and the next call is another mail."""

    def changed(clients: Clients) -> Clients:
        assert clients.mailer is not None
        return replace(clients, mailer=MailWithoutAKey(clients.mailer))

    town = await a_lead(world, changed=changed)
    town.network.inject(*[LateReply("resend", seconds=60.0)] * 2)
    world.inject(Crash("worker"))
    await world.quiesce()
