"""Calls without an answer come to an end: found, dropped, sent again, each by its promise and each counted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import trio

from reference import AmbiguousError
from reference.flows import messages, messages_outcomes, messages_reconciler, messages_rules, messages_sender
from reference.model_messages import Form, Message

if TYPE_CHECKING:
    from conftest import Shop

NOON = 1_767_355_200
FORM = Form(name="Test", phone="+77000000001", email="test@example.com", answers={"q1": "a"})
WAIT = messages_rules.LEASE_S + messages_rules.PROVIDER_MAX_S + messages_rules.INDEX_LAG_S
LOST = AmbiguousError("connection lost")


async def sms_only(shop: Shop, *, promise: str = "at_most") -> None:
    """A lead whose mail is out of the way and whose SMS is due."""
    await shop.service.submit_lead(FORM)
    shop.clock.at += 600
    await shop.write("UPDATE messages SET due_at = due_at + 1000000 WHERE channel = 'email'")
    await shop.write("UPDATE messages SET promise = :p WHERE channel = 'sms'", p=promise)


async def mail_only(shop: Shop) -> None:
    await shop.service.submit_lead(FORM)
    shop.clock.at += 600
    await shop.write("UPDATE messages SET due_at = due_at + 1000000 WHERE channel = 'sms'")


async def state(shop: Shop, channel: str = "sms") -> str:
    return str((await shop.one("SELECT state FROM messages WHERE channel = :c", c=channel)).state)


async def counted(shop: Shop) -> list[str]:
    return [str(row.what) for row in await shop.rows("SELECT what FROM message_counts ORDER BY what")]


async def always(shop: Shop) -> dict[str, object]:
    """The claims that do not hold, of those that must hold at any time: the mail of `sms_only` never settles."""
    found = await shop.broken_claims()
    found.pop("every_message_is_settled", None)
    return dict(found)


async def test_a_lost_answer_is_found_in_the_list(either_shop: Shop) -> None:
    """When nothing can be under way any more, and not before; three reconcilers at once."""
    shop = either_shop
    await sms_only(shop)
    shop.mobizon.broken, shop.mobizon.accepts_then_breaks = LOST, True
    await shop.service.sweep_messages()
    shop.mobizon.broken = None
    shop.clock.at += WAIT - 1
    await shop.service.sweep_messages()
    assert shop.mobizon.looked_up == 0
    shop.clock.at += 1
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(messages_reconciler.reconcile, shop.service)
    row = await shop.one("SELECT state, provider_message_id FROM messages WHERE channel = 'sms'")
    assert tuple(row) == ("sent", "sms-1")
    assert (await shop.one("SELECT outcome FROM message_attempts")).outcome == "found"
    assert (len(shop.mobizon.taken), shop.mobizon.looked_up) == (1, 1)
    assert await counted(shop) == []
    assert await always(shop) == {}


async def test_at_most_once_drops_what_is_not_found(shop: Shop) -> None:
    """The request never arrived: one SMS less, none too many; it is counted, and a person is told."""
    await sms_only(shop)
    shop.mobizon.broken = LOST
    await shop.service.sweep_messages()
    shop.mobizon.broken = None
    shop.clock.at += WAIT
    for _ in range(3):
        await shop.service.sweep_messages()
        shop.clock.at += WAIT
    assert (await state(shop), len(shop.mobizon.taken), await counted(shop)) == ("failed", 0, ["dropped"])
    assert "it may have been sent" in (await shop.one("SELECT why FROM attention")).why
    assert await always(shop) == {}


async def test_at_least_once_sends_again_what_is_not_found(shop: Shop) -> None:
    """The other promise: somebody is owed this text."""
    await sms_only(shop, promise="at_least")
    shop.mobizon.broken = LOST
    await shop.service.sweep_messages()
    shop.mobizon.broken = None
    for _ in range(2):
        shop.clock.at += WAIT
        await shop.service.sweep_messages()
    assert (await state(shop), len(shop.mobizon.taken), await counted(shop)) == ("sent", 1, ["sent_again"])
    assert await always(shop) == {}


async def test_a_list_that_lags_beyond_its_time_is_a_duplicate_under_at_least_and_none_under_at_most(
    shop: Shop,
) -> None:
    """It was taken, and the list does not show it: what a look-up cannot know."""
    await sms_only(shop, promise="at_least")
    shop.mobizon.broken, shop.mobizon.accepts_then_breaks, shop.mobizon.hidden = LOST, True, True
    await shop.service.sweep_messages()
    shop.mobizon.broken = None
    for _ in range(2):
        shop.clock.at += WAIT
        await shop.service.sweep_messages()
    assert (await state(shop), len(shop.mobizon.taken), await counted(shop)) == ("sent", 2, ["sent_again"])


async def asleep_in_the_call(shop: Shop) -> Message:
    """A worker that has marked its call and then stops, with the request in its hand."""
    claimed = await messages.claim(shop.service)
    assert isinstance(claimed, Message)
    assert await messages.mark_call(shop.service, claimed)
    return claimed


async def test_a_zombie_sends_late_but_not_twice_under_at_most(either_shop: Shop) -> None:
    """Dropped, and then the sleeper wakes: one SMS, late, counted, and the row tells the truth in the end."""
    shop = either_shop
    await sms_only(shop)
    sleeper = await asleep_in_the_call(shop)
    for _ in range(2):
        shop.clock.at += WAIT
        await shop.service.sweep_messages()
    assert await state(shop) == "failed"
    await messages_sender._call_and_record(shop.service, sleeper)
    assert (await state(shop), len(shop.mobizon.taken)) == ("sent", 1)
    assert await counted(shop) == ["dropped", "late_accept"]
    assert await always(shop) == {}


async def test_a_zombie_sends_twice_under_at_least_and_is_counted_and_told(either_shop: Shop) -> None:
    """The one duplicate that nobody can prevent without the provider's help."""
    shop = either_shop
    await sms_only(shop, promise="at_least")
    sleeper = await asleep_in_the_call(shop)
    for _ in range(3):
        shop.clock.at += WAIT
        await shop.service.sweep_messages()
    assert (await state(shop), len(shop.mobizon.taken)) == ("sent", 1)
    await messages_sender._call_and_record(shop.service, sleeper)
    assert len(shop.mobizon.taken) == 2
    assert await counted(shop) == ["sent_again", "sent_twice"]
    await shop.service.relay()
    assert [text for _, text, _ in shop.telegram.sent if text.startswith("Sent twice")]
    assert await always(shop) == {}


async def test_a_sleeper_that_reports_in_time_fences_the_second_one_off(shop: Shop) -> None:
    """Its SMS is a fact; whoever has claimed the message again meanwhile must not call any more."""
    await sms_only(shop, promise="at_least")
    sleeper = await asleep_in_the_call(shop)
    shop.clock.at += messages_rules.LEASE_S
    await messages_reconciler.reconcile(shop.service)
    shop.clock.at += WAIT
    await messages_reconciler.reconcile(shop.service)
    shop.clock.at += 60
    second = await messages.claim(shop.service)
    assert isinstance(second, Message)
    await messages_sender._call_and_record(shop.service, sleeper)
    await messages_sender._deliver(shop.service, second)
    assert (await state(shop), len(shop.mobizon.taken)) == ("sent", 1)
    assert await counted(shop) == ["late_accept", "sent_again"]
    assert await always(shop) == {}


async def test_two_of_ours_in_the_list_are_counted(shop: Shop) -> None:
    """Two sleepers under at_least, both in the list: the older one is the message."""
    await sms_only(shop)
    shop.mobizon.broken, shop.mobizon.accepts_then_breaks = LOST, True
    await shop.service.sweep_messages()
    twin = replace(shop.mobizon.taken[0], message_id="sms-twin", accepted_at=int(shop.clock.at) + 1)
    shop.mobizon.taken.append(twin)
    shop.clock.at += WAIT
    await shop.service.sweep_messages()
    row = await shop.one("SELECT state, provider_message_id FROM messages WHERE channel = 'sms'")
    assert (tuple(row), await counted(shop)) == (("sent", "sms-1"), ["sent_twice"])


async def test_without_an_answer_it_asks_again_and_calls_a_person(shop: Shop) -> None:
    """An error of the list is not "not found": as deployed an error read as "not sent yet"."""
    await sms_only(shop)
    shop.mobizon.broken, shop.mobizon.accepts_then_breaks = LOST, True
    await shop.service.sweep_messages()
    shop.mobizon.broken, shop.mobizon.list_broken = None, ConnectionError("down")
    shop.clock.at += WAIT
    for _ in range(messages_rules.LOOKUPS_MAX + 2):
        await shop.service.sweep_messages()
        shop.clock.at += 3600
    assert await state(shop) == "unknown"
    assert "10 look-ups without an answer" in (await shop.one("SELECT why FROM attention")).why
    shop.mobizon.list_broken = None
    await shop.service.sweep_messages()
    assert (await state(shop), len(shop.mobizon.taken)) == ("sent", 1)


async def test_a_reconciler_that_died_is_followed_by_another(shop: Shop) -> None:
    """Its look-up's lease runs out like any other, and its late conclusion has an old fence."""
    await sms_only(shop)
    shop.mobizon.broken, shop.mobizon.accepts_then_breaks = LOST, True
    await shop.service.sweep_messages()
    shop.mobizon.broken = None
    shop.clock.at += WAIT
    late = await messages_reconciler._take(shop.service)
    assert isinstance(late, Message)
    assert await messages_reconciler.reconcile(shop.service) == 0
    shop.clock.at += messages_rules.LOOK_LEASE_S
    assert await messages_reconciler.reconcile(shop.service) == 1
    await messages_reconciler._conclude(shop.service, late, [])
    await messages_reconciler._unanswered(shop.service, late, ConnectionError("I slept"))
    assert await state(shop) == "sent"


async def test_a_worker_that_answers_during_the_look_up_wins(shop: Shop) -> None:
    """A fact is a fact: the reconciler's "not found" comes too late to drop it."""
    await sms_only(shop)
    sleeper = await asleep_in_the_call(shop)
    shop.clock.at += messages_rules.LEASE_S
    await messages_reconciler.reconcile(shop.service)
    shop.clock.at += WAIT
    looking = await messages_reconciler._take(shop.service)
    assert isinstance(looking, Message)
    await messages_outcomes.accepted(shop.service, sleeper, "sms-9")
    await messages_reconciler._conclude(shop.service, looking, [])
    assert await state(shop) == "sent"
    assert await counted(shop) == ["late_accept"]
    assert await always(shop) == {}


async def test_an_answer_after_the_lease_counts_as_late(shop: Shop) -> None:
    """The message is sent and not looked up any more; that its worker was slower than its lease is worth knowing."""
    await sms_only(shop)
    sleeper = await asleep_in_the_call(shop)
    shop.clock.at += messages_rules.LEASE_S
    await messages_reconciler.reconcile(shop.service)
    await messages_sender._call_and_record(shop.service, sleeper)
    shop.clock.at += WAIT
    assert await messages_reconciler.reconcile(shop.service) == 0
    assert (await state(shop), await counted(shop)) == ("sent", ["late_accept"])


async def test_a_mail_without_an_answer_is_the_same_mail_again(either_shop: Shop) -> None:
    """Under its key, as soon as the lease is over; two calls, one mail, nothing counted."""
    shop = either_shop
    await mail_only(shop)
    shop.resend.broken, shop.resend.accepts_then_breaks = LOST, True
    await shop.service.sweep_messages()
    shop.resend.broken = None
    shop.clock.at += messages_rules.LEASE_S
    await shop.service.sweep_messages()
    shop.clock.at += 5
    await shop.service.sweep_messages()
    assert (await state(shop, "email"), shop.resend.calls, len(shop.resend.mails)) == ("sent", 2, 1)
    assert await counted(shop) == []
    assert await always(shop) == {}


@pytest.mark.parametrize(
    ("promise", "mails", "what"), [("at_least", 2, "sent_again"), ("at_most", 1, "dropped")]
)
async def test_when_the_key_is_forgotten_the_promise_decides(
    shop: Shop, promise: str, mails: int, what: str
) -> None:
    """Nobody ran for a day: at least once may be twice, and at most once is not tried."""
    await mail_only(shop)
    await shop.write("UPDATE messages SET promise = :p WHERE channel = 'email'", p=promise)
    shop.resend.broken, shop.resend.accepts_then_breaks = LOST, True
    await shop.service.sweep_messages()
    shop.resend.broken = None
    shop.clock.at += 86_400
    for _ in range(2):
        await shop.service.sweep_messages()
        shop.clock.at += 60
    assert (len(shop.resend.mails), await counted(shop)) == (mails, [what])
    assert await always(shop) == {}


async def test_a_mail_that_never_gets_an_answer_is_given_up_and_told(shop: Shop) -> None:
    """Bounded, like everything."""
    await mail_only(shop)
    shop.resend.broken = LOST
    for _ in range(100):
        await shop.service.sweep_messages()
        shop.clock.at += 600
    assert await state(shop, "email") == "failed"
    assert shop.resend.calls == messages_rules.CALLS_MAX
    assert "given up after 12 attempts" in (await shop.one("SELECT why FROM attention")).why
