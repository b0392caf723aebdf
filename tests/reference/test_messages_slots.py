"""One SMS per number and hour; what is blocked is counted and told; reports and statistics."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import trio

from reference import RefusedError, Topic
from reference.flows import messages, messages_reports, messages_sender
from reference.flows.messages import Blocked
from reference.model_messages import Delivered, Form, Message
from reference.ports import LaterError

if TYPE_CHECKING:
    from conftest import Shop

NOON = 1_767_355_200
STAFF = -100
FORM = Form(name="Test", phone="+77000000001", email="test@example.com", answers={"q1": "a"})
AGAIN = replace(FORM, answers={"q1": "b"})


async def sms_of(shop: Shop, *forms: Form) -> list[str]:
    """Leads whose SMS alone are due; their messages' ids."""
    ids = [f"msg:{(await shop.service.submit_lead(form)).lead_id}:sms:proftest_result" for form in forms]
    shop.clock.at += 600
    await shop.write("DELETE FROM messages WHERE channel = 'email'")
    return ids


async def states(shop: Shop) -> dict[str, str]:
    return {row.id: row.state for row in await shop.rows("SELECT id, state FROM messages")}


async def always(shop: Shop) -> dict[str, object]:
    found = await shop.broken_claims()
    found.pop("every_lead_has_its_messages", None)  # `sms_of` has taken the mails out of the way
    return dict(found)


async def test_a_second_sms_to_a_number_within_the_hour_is_blocked_counted_and_told(
    either_shop: Shop,
) -> None:
    """Two forms with one number, due together, sent by three: one SMS, one alert to the staff."""
    shop = either_shop
    ids = await sms_of(shop, FORM, AGAIN)
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(shop.service.sweep_messages)
    assert len(shop.mobizon.taken) == 1
    assert sorted((await states(shop)).values()) == ["cancelled", "sent"]
    (blocked,) = [message for message, state in (await states(shop)).items() if state == "cancelled"]
    (holder,) = set(ids) - {blocked}
    row = await shop.one("SELECT what, message_id, ref FROM message_counts")
    assert tuple(row) == ("blocked_duplicate", blocked, holder)
    await shop.service.relay(topics=[Topic.ALERT])
    ((chat, text, reference),) = shop.telegram.sent
    assert (chat, reference) == (STAFF, f"alert:blocked:{blocked}")
    assert text.startswith(f"Duplicate SMS blocked: {blocked}")
    assert "7700" not in text
    assert await always(shop) == {}


@pytest.mark.parametrize(("wait", "state"), [(3599, "cancelled"), (3600, "sent")])
async def test_the_hour_is_over_to_the_second(shop: Shop, wait: int, state: str) -> None:
    """What is due a second too early is blocked, and stays so."""
    await sms_of(shop, FORM)
    await shop.service.sweep_messages()
    called_at = shop.clock.at
    (later,) = await sms_of(shop, AGAIN)
    shop.clock.at = called_at + wait
    await shop.service.sweep_messages()
    shop.clock.at += 3600
    await shop.service.sweep_messages()
    assert (await states(shop))[later] == state
    assert await always(shop) == {}


async def test_the_hour_begins_with_the_call_and_not_with_the_claim(shop: Shop) -> None:
    """A worker paused between the two would otherwise shorten it by its pause."""
    await sms_of(shop, FORM)
    claimed = await messages.claim(shop.service)
    assert isinstance(claimed, Message)
    shop.clock.at += 25
    await messages_sender._deliver(shop.service, claimed)
    called_at = shop.clock.at
    (later,) = await sms_of(shop, AGAIN)
    shop.clock.at = called_at + 3599
    assert isinstance(await messages.claim(shop.service), Blocked)
    assert (await states(shop))[later] == "cancelled"


async def test_other_numbers_are_not_blocked(shop: Shop) -> None:
    """The limit is a number's."""
    await sms_of(shop, FORM, replace(FORM, phone="+77000000002"))
    await shop.service.sweep_messages()
    assert len(shop.mobizon.taken) == 2


@pytest.mark.parametrize("error", [LaterError("code 30"), RefusedError("no such number")])
async def test_what_was_certainly_not_sent_gives_the_slot_back(shop: Shop, error: Exception) -> None:
    """A note that is set before a send that fails would block the next message for an hour."""
    await sms_of(shop, FORM)
    shop.mobizon.broken = error
    await shop.service.sweep_messages()
    shop.mobizon.broken = None
    (second,) = await sms_of(shop, AGAIN)
    await shop.write(
        "UPDATE messages SET due_at = due_at + 100000 WHERE id <> :id AND state = 'pending'", id=second
    )
    await shop.service.sweep_messages()
    assert (await states(shop))[second] == "sent"


async def test_what_is_owed_waits_for_the_hour_instead_of_being_blocked(shop: Shop) -> None:
    """At least once is a promise also to a number that has just had one."""
    await sms_of(shop, FORM)
    await shop.service.sweep_messages()
    sent_at = shop.clock.at
    (owed,) = await sms_of(shop, AGAIN)
    await shop.write("UPDATE messages SET promise = 'at_least' WHERE id = :id", id=owed)
    await shop.service.sweep_messages()
    assert (await states(shop))[owed] == "pending"
    assert await shop.rows("SELECT 1 FROM message_counts") == []
    shop.clock.at = sent_at + 3600
    await shop.service.sweep_messages()
    assert (await states(shop))[owed] == "sent"
    assert await always(shop) == {}


async def test_an_alert_without_a_chat_is_buried_where_a_person_sees_it(shop: Shop) -> None:
    """It does not stop the messages."""
    await sms_of(shop, FORM, AGAIN)
    bare = replace(shop.service, alerts_chat=None)
    await bare.sweep_messages()
    await bare.relay(topics=[Topic.ALERT])
    assert "without a chat" in (await shop.one("SELECT why FROM attention")).why


def report(
    event: int = 26, message: str = "sms-1", status: str = "DELIVRD", attempt: int = 1
) -> dict[str, object]:
    body: dict[str, object] = {
        "eventId": event,
        "eventType": "sms-delivery-report",
        "eventCreateTs": "2026-01-15 11:42:28",
        "attempt": attempt,
        "data": {"messageId": message, "status": status},
    }
    return body | {"sign": messages_reports.signature(body, "secret")}


async def test_a_report_is_kept_once_however_often_it_comes(either_shop: Shop) -> None:
    """Ten attempts of one event, four of them at once."""
    shop = either_shop
    (message,) = await sms_of(shop, FORM)
    await shop.service.sweep_messages()
    assert await shop.service.delivery_of(message) is None
    async with trio.open_nursery() as nursery:
        for attempt in range(4):
            nursery.start_soon(shop.service.mobizon_webhook, report(attempt=attempt))
    assert await shop.service.mobizon_webhook(report(attempt=5)) is False
    row = await shop.one("SELECT event_id, deliveries FROM delivery_reports")
    assert tuple(row) == ("26", 5)
    assert await shop.service.delivery_of(message) is Delivered.DELIVERED
    assert (await states(shop))[message] == "sent"


async def test_a_report_may_come_before_the_answer_to_the_send(shop: Shop) -> None:
    """It is kept under the provider's id, and read off when that id is known."""
    assert await shop.service.mobizon_webhook(report(status="EXPIRED")) is True
    (message,) = await sms_of(shop, FORM)
    assert await shop.service.delivery_of(message) is None
    await shop.service.sweep_messages()
    assert await shop.service.delivery_of(message) is Delivered.UNDELIVERED


async def test_two_last_words_are_told_to_a_person(shop: Shop) -> None:
    """The first one stands."""
    (message,) = await sms_of(shop, FORM)
    await shop.service.sweep_messages()
    await shop.service.mobizon_webhook(report(1))
    shop.clock.at += 1
    await shop.service.mobizon_webhook(report(2, status="UNDELIV"))
    assert "reported delivered and undelivered" in (await shop.one("SELECT why FROM attention")).why
    assert await shop.service.delivery_of(message) is Delivered.DELIVERED


@pytest.mark.parametrize(
    "body",
    [
        {},
        report() | {"eventType": "form-submission"},
        report(status="ACCEPTD"),
        report() | {"data": "text"},
        report() | {"eventId": None},
        report(message=""),
    ],
    ids=["empty", "another event", "not final", "no data", "no event", "no message"],
)
async def test_what_is_no_final_report_is_ignored(shop: Shop, body: dict[str, object]) -> None:
    """Answered 200 all the same: it will not get better by being repeated."""
    assert await shop.service.mobizon_webhook(body) is False
    assert await shop.rows("SELECT 1 FROM delivery_reports") == []


def test_a_signature_is_mobizons_and_an_empty_secret_signs_nothing() -> None:
    """``sha1(eventId|attempt|eventCreateTs|secret)``; the data is not covered, which is why nothing rests on it."""
    body = report()
    assert messages_reports.is_signed(body, "secret")
    assert messages_reports.is_signed(body | {"data": {"messageId": "x", "status": "DELIVRD"}}, "secret")
    assert not messages_reports.is_signed(body | {"attempt": 2}, "secret")
    assert not messages_reports.is_signed(body | {"sign": "ü"}, "secret")
    assert not messages_reports.is_signed(body | {"sign": messages_reports.signature(body, "")}, "")


async def test_the_statistics_count_messages_calls_and_what_went_wrong(either_shop: Shop) -> None:
    """From the rows, so they are the same in every process."""
    shop = either_shop
    for form in (FORM, AGAIN):
        await shop.service.submit_lead(form)
    shop.clock.at += 600
    await shop.service.sweep_messages()
    stats = await shop.service.message_statistics()
    assert stats.states == {("email", "sent"): 2, ("sms", "sent"): 1, ("sms", "cancelled"): 1}
    assert stats.accepted == {"email": 2, "sms": 1}
    assert stats.counted == {"blocked_duplicate": 1}
