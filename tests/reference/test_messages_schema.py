"""The message tables refuse rows that must not be, and the invariants find them in tables that do not refuse."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from reference import invariants
from reference.model_messages import Form
from reference.storage import schema_messages as schema

if TYPE_CHECKING:
    from conftest import Shop
    from sqlalchemy import Table

    from reference import TrioEngine

NOON = 1_767_355_200
FORM = Form(name="Test", phone="+77000000001", email="test@example.com", answers={"q1": "a"})

DAMAGE = {
    "every_lead_has_its_messages": "DELETE FROM messages WHERE state = 'pending'",
    "at_most_once_is_accepted_at_most_once": "INSERT INTO message_attempts(message_id, n, started_at, called_at, ended_at, outcome) SELECT message_id, 2, 0, 0, 0, 'accepted' FROM message_attempts WHERE message_id LIKE '%sms%'",
    "no_call_follows_silence": "INSERT INTO message_attempts(message_id, n, started_at, called_at) SELECT message_id, 2, 0, 0 FROM message_attempts WHERE message_id LIKE '%sms%'",
    "sent_is_the_providers_word": "UPDATE message_attempts SET outcome = 'not_taken'",
    "no_message_in_limbo_without_a_date": "UPDATE messages SET state = 'unknown', look_at = 1, called_at = 1 WHERE state = 'pending'",
    "every_message_is_settled": "UPDATE messages SET state = 'pending', provider_message_id = NULL, sent_at = NULL",
    "one_sms_per_number_and_hour": "UPDATE message_attempts SET called_at = 1, outcome = 'unknown'",
    "blocked_duplicates_are_counted_and_told": "DELETE FROM outbox WHERE topic = 'alert'",
}
REFUSED_BY_THE_SCHEMA = {"one_message_per_lead_channel_and_template"}


async def busy(shop: Shop) -> None:
    """A lead that was served, one whose SMS was blocked, and one hours later."""
    await shop.service.submit_lead(FORM)
    await shop.service.submit_lead(replace(FORM, answers={"q1": "b"}))
    shop.clock.at += 600
    await shop.service.sweep_messages()
    shop.clock.at += 3600
    await shop.service.submit_lead(replace(FORM, answers={"q1": "c"}))
    shop.clock.at += 600
    await shop.service.sweep_messages()
    assert await shop.broken_claims() == {}
    await shop.service.submit_lead(replace(FORM, phone="+77000000002"))


@pytest.mark.parametrize("name", DAMAGE)
async def test_each_invariant_finds_its_damage(either_shop: Shop, name: str) -> None:
    """All is well, one statement by hand, and the claim is broken."""
    await busy(either_shop)
    claim = getattr(invariants, name)
    if name != "every_message_is_settled":  # one lead is waiting, which is "eventually"
        assert await either_shop.broken_claims(claim) == {}
    await either_shop.write(DAMAGE[name])
    assert (await either_shop.broken_claims(claim))[name]


async def test_a_blocked_sms_without_its_row_is_found_too(shop: Shop) -> None:
    """Told and not counted is half of it."""
    await busy(shop)
    await shop.write("DELETE FROM message_counts")
    assert await shop.broken_claims(invariants.blocked_duplicates_are_counted_and_told) != {}


def test_every_invariant_is_either_damaged_here_or_refused_by_the_schema() -> None:
    """So a new one comes with its damage."""
    names = {invariant.name for invariant in invariants.MESSAGES}
    assert names == DAMAGE.keys() | REFUSED_BY_THE_SCHEMA
    assert all(getattr(invariants, invariant.name) is invariant for invariant in invariants.MESSAGES)


def test_what_our_schema_refuses_is_found_in_a_careless_one() -> None:
    """Two rows for one message, and a message that was claimed without a date."""
    engine = sqlalchemy.create_engine("sqlite://")
    with engine.begin() as connection:
        connection.execute(
            text(
                "CREATE TABLE messages(id TEXT, lead_id TEXT, channel TEXT, template TEXT, state TEXT, look_at INTEGER, attempts INTEGER)"
            )
        )
        connection.execute(text("CREATE TABLE message_attempts(message_id TEXT, n INTEGER)"))
        connection.execute(text("INSERT INTO message_attempts VALUES ('a', 1)"))
        for name in ("a", "b"):
            connection.execute(
                text(f"INSERT INTO messages VALUES ('{name}', 'l', 'sms', 't', 'sending', NULL, 1)")
            )
        twice = connection.execute(text(invariants.one_message_per_lead_channel_and_template.sql)).all()
        limbo = connection.execute(text(invariants.no_message_in_limbo_without_a_date.sql)).all()
    engine.dispose()
    assert [tuple(row) for row in twice] == [("l", "sms", "t", 2)]
    assert [row.message for row in limbo] == ["a", "b"]


LEAD = {"id": "l", "name": "n", "phone": "7", "email": "e", "answers": "{}", "created_at": 0}
MESSAGE = {
    "id": "m",
    "lead_id": "l",
    "channel": "sms",
    "template": "proftest_result",
    "recipient": "7",
    "body": "text",
    "client_ref": "r",
    "promise": "at_most",
    "due_at": 0,
    "created_at": 0,
}
MAIL = MESSAGE | {"id": "m2", "channel": "email", "client_ref": "r2"}
SENT = {"state": "sent", "provider_message_id": "p", "sent_at": 0}
ATTEMPT = {"message_id": "m", "n": 1, "started_at": 0}
SLOT = {"recipient": "7", "message_id": "m", "taken_at": 0}
COUNT = {"what": "dropped", "message_id": "m", "ref": "attempt 1", "at": 0}
REPORT = {"event_id": "26", "provider_message_id": "p", "status": "delivered", "received_at": 0}
RIGHT: list[tuple[Table, dict[str, Any]]] = [
    (schema.landing_leads, LEAD),
    (schema.messages, MESSAGE | SENT),
    (schema.message_attempts, ATTEMPT),
    (schema.sms_slots, SLOT),
    (schema.message_counts, COUNT),
    (schema.delivery_reports, REPORT),
]
WRONG: dict[str, tuple[Table, dict[str, Any]]] = {
    "a lead without a number": (schema.landing_leads, LEAD | {"id": "l2", "phone": ""}),
    "a second message of a kind": (schema.messages, MAIL | {"channel": "sms"}),
    "one reference for two messages": (schema.messages, MAIL | {"client_ref": "r"}),
    "a message of nobody": (schema.messages, MAIL | {"lead_id": "l2"}),
    "a channel without a sender": (schema.messages, MAIL | {"channel": "fax"}),
    "a promise nobody can keep": (schema.messages, MAIL | {"promise": "exactly"}),
    "sent without the provider's word": (schema.messages, MAIL | {"state": "sent", "sent_at": 0}),
    "the provider's word without sent": (schema.messages, MAIL | {"provider_message_id": "p"}),
    "sent at no time": (schema.messages, MAIL | {"state": "sent", "provider_message_id": "p"}),
    "sending without a lease": (schema.messages, MAIL | {"state": "sending", "look_at": 1}),
    "a lease without sending": (schema.messages, MAIL | {"lease_until": 1}),
    "sending and never looked at": (schema.messages, MAIL | {"state": "sending", "lease_until": 1}),
    "unknown and never looked at": (schema.messages, MAIL | {"state": "unknown", "called_at": 1}),
    "unknown and never called": (schema.messages, MAIL | {"state": "unknown", "look_at": 1}),
    "pending and looked at": (schema.messages, MAIL | {"look_at": 1}),
    "more claims than fences": (schema.messages, MAIL | {"attempts": 1}),
    "an attempt counted twice": (schema.message_attempts, ATTEMPT),
    "an attempt that ended without a word": (schema.message_attempts, ATTEMPT | {"n": 2, "ended_at": 1}),
    "a word without an end": (schema.message_attempts, ATTEMPT | {"n": 2, "outcome": "refused"}),
    "called and not called": (
        schema.message_attempts,
        ATTEMPT | {"n": 2, "outcome": "not_called", "ended_at": 1, "called_at": 1},
    ),
    "a second slot for a number": (schema.sms_slots, SLOT),
    "a cause counted twice": (schema.message_counts, COUNT),
    "a cause of no kind": (schema.message_counts, COUNT | {"what": "bad_luck"}),
    "an event kept twice": (schema.delivery_reports, REPORT),
    "a report that is not final": (schema.delivery_reports, REPORT | {"event_id": "27", "status": "queued"}),
}


async def insert(engine: TrioEngine, rows: list[tuple[Table, dict[str, Any]]]) -> None:
    async with engine.begin() as connection:
        for table, row in rows:
            await connection.execute(table.insert(), row)


async def test_right_rows_are_taken(engine: TrioEngine) -> None:
    """The rows that the wrong ones are variations of; two providers may use the same number."""
    await insert(engine, [*RIGHT, (schema.messages, MAIL | SENT)])


@pytest.mark.parametrize("what", WRONG)
async def test_wrong_rows_are_refused(engine: TrioEngine, what: str) -> None:
    """Each of them breaks one constraint."""
    await insert(engine, RIGHT)
    with pytest.raises(IntegrityError):
        await insert(engine, [WRONG[what]])


async def test_one_id_of_a_provider_is_one_message(engine: TrioEngine) -> None:
    """Two of ours cannot both be what it took once."""
    await insert(engine, [*RIGHT, (schema.landing_leads, LEAD | {"id": "l2"})])
    other = MESSAGE | SENT | {"id": "m3", "lead_id": "l2", "client_ref": "r3"}
    with pytest.raises(IntegrityError):
        await insert(engine, [(schema.messages, other)])
