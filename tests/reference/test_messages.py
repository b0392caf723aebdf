"""One sender for three paths: a message is claimed, marked, called and recorded, and each gap between these has its answer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import trio

from reference import AmbiguousError, RefusedError
from reference.flows import messages, messages_outcomes, messages_rules, messages_sender
from reference.model_messages import Form, Message
from reference.ports import KeyConflictError, LaterError
from reference.storage import ForeignCallError, atomically

if TYPE_CHECKING:
    from conftest import Shop
    from sqlalchemy.ext.asyncio import AsyncConnection

NOON = 1_767_355_200
FORM = Form(name="Test", phone="+77000000001", email="test@example.com", answers={"q1": "a"})


async def lead(shop: Shop, form: Form = FORM) -> str:
    """A lead whose messages are due."""
    made = await shop.service.submit_lead(form)
    shop.clock.at += 600
    return made.lead_id


async def sms(shop: Shop) -> tuple[str, int, str | None]:
    row = await shop.one("SELECT state, attempts, last_error FROM messages WHERE channel = 'sms'")
    return row.state, row.attempts, row.last_error


async def claim(shop: Shop, channel: str = "sms") -> Message:
    """Have a worker claim a message and go to sleep."""
    other = "email" if channel == "sms" else "sms"
    await shop.write("UPDATE messages SET due_at = due_at + 100000 WHERE channel = :other", other=other)
    claimed = await messages.claim(shop.service)
    await shop.write("UPDATE messages SET due_at = due_at - 100000 WHERE channel = :other", other=other)
    assert isinstance(claimed, Message)
    return claimed


async def test_nothing_goes_out_before_its_time(shop: Shop) -> None:
    """Ten minutes, to the second."""
    await shop.service.submit_lead(FORM)
    shop.clock.at += 599
    assert await shop.service.sweep_messages() == 0
    shop.clock.at += 1
    assert await shop.service.sweep_messages() == 2
    assert await shop.service.sweep_messages() == 0


async def test_a_lead_gets_one_sms_and_one_mail(either_shop: Shop) -> None:
    """With the texts that were written down, under our references."""
    shop = either_shop
    lead_id = await lead(shop)
    await shop.service.sweep_messages()
    (taken,), (mail,) = shop.mobizon.taken, shop.resend.mails
    assert (taken.recipient, lead_id in taken.text) == ("77000000001", True)
    assert (mail[0], lead_id in mail[1]) == ("test@example.com", True)
    refs = {row.client_ref for row in await shop.rows("SELECT client_ref FROM messages")}
    assert refs == {taken.reference, *shop.resend.keys}
    rows = await shop.rows(
        "SELECT channel, state, provider_message_id, sent_at FROM messages ORDER BY channel"
    )
    assert [tuple(row) for row in rows] == [
        ("email", "sent", "mail-1", NOON + 600),
        ("sms", "sent", "sms-1", NOON + 600),
    ]
    assert await shop.broken_claims() == {}


async def test_timer_sweep_and_recovery_at_once_send_once(either_shop: Shop) -> None:
    """Seed 001's three systems, twice each: 32,100 of 32,622 orders gave three SMS as deployed."""
    shop = either_shop
    lead_id = await lead(shop)
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(messages_sender.send_due, shop.service)
            nursery.start_soon(shop.service.sweep_messages)
            nursery.start_soon(shop.service.recover_messages)
    assert await messages_sender.send_due(shop.service, lead_id=lead_id) == 0
    assert (len(shop.mobizon.taken), len(shop.resend.mails)) == (1, 1)
    assert await shop.broken_claims() == {}


async def test_the_timer_sends_its_own_lead_after_ten_minutes(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nobody else's, who may be due as well: the sweep's business."""
    await lead(shop, replace(FORM, phone="+77000000002", email="b@example.com"))
    made = await shop.service.submit_lead(FORM)
    slept = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        shop.clock.at += seconds

    monkeypatch.setattr("reference.flows.messages_entry_points.trio.sleep", sleep)
    assert await shop.service.send_when_due(made.lead_id) == 2
    assert slept == [600]
    assert [record.recipient for record in shop.mobizon.taken] == ["77000000001"]


async def test_two_sweeps_share_many_messages(either_shop: Shop) -> None:
    """Every number gets one, whoever sends it; a run has an end."""
    shop = either_shop
    for n in range(6):
        await shop.service.submit_lead(replace(FORM, phone=f"+7700000010{n}", email=f"{n}@example.com"))
    shop.clock.at += 600
    assert await messages_sender.send_due(shop.service, messages_max=1) == 1
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(shop.service.sweep_messages)
    assert sorted(record.recipient for record in shop.mobizon.taken) == [f"7700000010{n}" for n in range(6)]
    assert len(shop.resend.mails) == 6
    assert await shop.broken_claims() == {}


async def test_a_refusal_is_final_and_told_to_a_person(shop: Shop) -> None:
    """An invalid number is invalid tomorrow too; the mail goes out all the same."""
    await lead(shop)
    shop.mobizon.broken = RefusedError("invalid number")
    await shop.service.sweep_messages()
    assert (await sms(shop))[0] == "failed"
    assert "invalid number" in (await shop.one("SELECT why FROM attention")).why
    assert await shop.rows("SELECT 1 FROM sms_slots") == []
    shop.clock.at += 100_000
    assert await shop.service.sweep_messages() == 0
    assert len(shop.resend.mails) == 1
    assert await shop.broken_claims() == {}


async def test_a_key_that_comes_with_another_mail_is_a_matter_for_a_person(shop: Shop) -> None:
    """Another key would be another mail; repeating is refused for ever."""
    await lead(shop)
    shop.resend.broken = KeyConflictError("invalid_idempotent_request")
    await shop.service.sweep_messages()
    row = await shop.one("SELECT state FROM messages WHERE channel = 'email'")
    assert row.state == "failed"


async def test_later_means_later_and_not_for_ever(shop: Shop) -> None:
    """Nothing was taken, so it may be tried again, after longer and longer pauses, so many times."""
    await lead(shop)
    shop.mobizon.broken = LaterError("code 30")
    pauses = []
    for _ in range(messages_rules.CALLS_MAX):
        await shop.service.sweep_messages()
        row = await shop.one("SELECT state, due_at FROM messages WHERE channel = 'sms'")
        if row.state == "pending":
            pauses.append(row.due_at - shop.clock.at)
            shop.clock.at = row.due_at
    assert pauses[:4] == [5, 10, 20, 40]
    assert await sms(shop) == ("failed", 12, "given up after 12 attempts: LaterError('code 30')")
    assert await shop.broken_claims() == {}


async def test_after_later_it_is_sent_once(shop: Shop) -> None:
    """The same message may take its slot again."""
    await lead(shop)
    shop.mobizon.broken = LaterError("code 30")
    await shop.service.sweep_messages()
    shop.mobizon.broken = None
    shop.clock.at += 5
    await shop.service.sweep_messages()
    assert await sms(shop) == ("sent", 2, None)
    assert await shop.broken_claims() == {}


@pytest.mark.parametrize("error", [AmbiguousError("lost"), OSError("anything else"), ValueError("bad JSON")])
async def test_no_answer_is_unknown_and_never_pending(shop: Shop, error: Exception) -> None:
    """Whatever is not a clear word of the provider's: it may have taken it, and here it has."""
    await lead(shop)
    shop.mobizon.broken, shop.mobizon.accepts_then_breaks = error, True
    await shop.service.sweep_messages()
    assert (await sms(shop))[0] == "unknown"
    shop.mobizon.broken = None
    shop.clock.at += messages_rules.LEASE_S
    await shop.service.sweep_messages()
    assert len(shop.mobizon.taken) == 1


async def test_a_call_is_given_up_before_its_lease_ends(
    shop: Shop, autojump_clock: trio.testing.MockClock
) -> None:
    """A provider that holds the line does not hold the sweep; the mail goes out."""
    await lead(shop)
    started = trio.current_time()

    async def hold() -> None:
        shop.clock.at += messages_rules.CALL_MAX_S
        await trio.sleep(3600)

    shop.mobizon.before_taking = hold
    await shop.service.sweep_messages()
    assert trio.current_time() - started < messages_rules.LEASE_S
    assert (await sms(shop))[0] == "unknown"
    assert len(shop.resend.mails) == 1


async def test_a_worker_that_comes_too_late_does_not_call(shop: Shop) -> None:
    """It was paused between claim and call, and the lease would not outlast the call: it puts the message back."""
    await lead(shop)
    message = await claim(shop)
    shop.clock.at += messages_rules.LEASE_S - messages_rules.CALL_MAX_S - messages_rules.MARGIN_S + 1
    await messages_sender._deliver(shop.service, message)
    assert shop.mobizon.taken == []
    assert (await sms(shop))[0] == "pending"
    shop.clock.at += 60
    await shop.service.sweep_messages()
    assert len(shop.mobizon.taken) == 1
    assert await shop.broken_claims() == {}


async def test_a_worker_that_was_overtaken_does_not_call(shop: Shop) -> None:
    """The reconciler has moved the fence; somebody else sends, once."""
    await lead(shop)
    message = await claim(shop)
    shop.clock.at += messages_rules.LEASE_S
    await shop.service.sweep_messages()
    shop.clock.at += 60
    await shop.service.sweep_messages()
    assert await sms(shop) == ("sent", 2, None)
    assert await messages.mark_call(shop.service, message) is False
    await messages_sender._deliver(shop.service, message)
    assert len(shop.mobizon.taken) == 1
    assert await shop.broken_claims() == {}


async def test_a_worker_that_died_before_the_call_costs_nothing(shop: Shop) -> None:
    """No mark, no call: it goes back to pending without a look-up, and is sent. As "claim first", this lost the message."""
    await lead(shop)
    await claim(shop)
    shop.clock.at += messages_rules.LEASE_S
    await shop.service.recover_messages()
    assert (await sms(shop))[0] == "pending"
    shop.clock.at += 5
    await shop.service.recover_messages()
    assert (len(shop.mobizon.taken), shop.mobizon.looked_up) == (1, 0)
    attempts = await shop.rows(
        "SELECT n, called_at, outcome FROM message_attempts WHERE message_id LIKE '%sms%' ORDER BY n"
    )
    assert [tuple(row) for row in attempts] == [(1, None, "not_called"), (2, shop.clock.at, "accepted")]
    assert await shop.broken_claims() == {}


async def test_a_late_report_of_a_failure_changes_nothing(shop: Shop) -> None:
    """Decisions are the newest fence's."""
    await lead(shop)
    message = await claim(shop)
    await messages.mark_call(shop.service, message)
    shop.clock.at += messages_rules.LEASE_S
    await shop.service.sweep_messages()
    before = await sms(shop)
    assert before[0] == "unknown"
    for report in (
        messages_outcomes.refused(shop.service, message, RefusedError("no")),
        messages_outcomes.no_answer(shop.service, message, AmbiguousError("lost")),
    ):
        await report
        assert await sms(shop) == before


async def test_a_record_that_fails_is_left_to_the_reconciler(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SMS is out, the database is not there: a mark without a word, and the list tells."""
    await lead(shop)

    async def fail(*_args: object) -> None:
        raise ConnectionError("database down")

    with monkeypatch.context() as patch:
        patch.setattr(messages_outcomes, "accepted", fail)
        await shop.service.sweep_messages()
    assert len(shop.mobizon.taken) == 1
    for _ in range(3):
        shop.clock.at += 400
        await shop.service.sweep_messages()
    assert (await sms(shop))[0] == "sent"
    assert len(shop.mobizon.taken) == 1
    assert await shop.broken_claims() == {}


async def test_a_service_without_a_gateway_claims_nothing(shop: Shop) -> None:
    """A claim that cannot be followed by a call would only wear the message out."""
    await lead(shop)
    bare = replace(shop.service, sms=None)
    with pytest.raises(LookupError, match="SMS"):
        await messages_sender.send_due(bare)
    with pytest.raises(LookupError, match="e-mail"):
        await messages_sender.send_due(replace(shop.service, mailer=None))
    assert (await sms(shop))[:2] == ("pending", 0)


async def test_both_ports_are_closed_inside_a_transaction(shop: Shop) -> None:
    """A call that takes twenty seconds would hold the only writer for as long."""

    async def send(_connection: AsyncConnection) -> None:
        await shop.service.sms_gateway().find("7", "text", 0, 1)

    async def post(_connection: AsyncConnection) -> None:
        await shop.service.mail().send("a@example.com", "", "", "k")

    for work in (send, post):
        with pytest.raises(ForeignCallError):
            await atomically(shop.engine, work)
