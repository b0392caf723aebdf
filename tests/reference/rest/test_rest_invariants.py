"""Each invariant is silent where all is well and finds its own kind of damage; a check that cannot fail is no check."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import sqlalchemy
from sqlalchemy import text

import reference
from reference import SessionStatus, invariants, invariants_rest

if TYPE_CHECKING:
    from conftest import Desk

DAMAGE = {
    "no_claim_without_due_job": "UPDATE session_claims SET state = 'claimed', session_id = NULL WHERE state = 'open'",
    "generations_have_no_gaps": "UPDATE session_claims SET generation = 5 WHERE state = 'paid' AND kind = 'deposit'",
    "settlements_point_to_paid_sessions": "UPDATE session_claims SET amount_minor = amount_minor - 1",
    "money_in_is_settled_or_owed_back": "DELETE FROM settlements",
    "one_message_per_reminder": "DELETE FROM outbox WHERE topic = 'rest_notice'",
    "every_open_page_was_announced": "DELETE FROM reminders",
    "every_claim_gets_its_session": "UPDATE session_claims SET state = 'claimed', session_id = NULL WHERE state = 'open'",
    "nothing_is_asked_for_twice": "UPDATE deals SET status = 'lost'",
}
REFUSED_BY_THE_SCHEMA = {"one_rest_session_per_deal", "one_settlement_per_deal_and_kind"}


@pytest.mark.parametrize("name", DAMAGE)
async def test_each_invariant_finds_its_damage(either_desk: Desk, name: str) -> None:
    """Healthy deals, one statement by hand, and the claim is broken."""
    desk = either_desk
    await desk.offer()
    desk.stripe.becomes(await desk.session_of("rest:1680:g1"), SessionStatus.EXPIRED)
    await desk.service.watch_sessions()
    await desk.relay()
    assert await desk.shop.broken_claims() == {}
    # What a constraint would not allow is not what is tried here; the reminders' foreign key is in the way of one of them.
    await desk.shop.write("DELETE FROM reminders WHERE kind = 'deposit'")
    await desk.shop.write(DAMAGE[name])
    broken = await desk.shop.broken_claims(getattr(invariants, name))
    assert broken[name]


def test_every_invariant_is_either_damaged_here_or_refused_by_the_schema() -> None:
    """So a new one comes with its damage; and all of them are in the public face."""
    assert {invariant.name for invariant in invariants_rest.REST} == DAMAGE.keys() | REFUSED_BY_THE_SCHEMA
    assert set(invariants_rest.REST) <= set(reference.ALL)
    assert all(getattr(reference, invariant.name) is invariant for invariant in invariants_rest.REST)


def test_what_our_schema_refuses_is_found_in_a_careless_one() -> None:
    """Deal 1680: two sessions. These two judge other people's tables too."""
    engine = sqlalchemy.create_engine("sqlite://")
    with engine.begin() as connection:
        connection.execute(
            text(
                "CREATE TABLE session_claims(id TEXT, deal_id INTEGER, kind TEXT, state TEXT, session_id TEXT)"
            )
        )
        connection.execute(
            text(
                "INSERT INTO session_claims VALUES ('a', 1680, 'rest', 'open', 'cs_test_1'),"
                " ('b', 1680, 'rest', 'processing', 'cs_test_2'), ('c', 1680, 'deposit', 'open', 'cs_test_3'),"
                " ('d', 1681, 'rest', 'expired', 'cs_test_4'), ('e', 1681, 'rest', 'claimed', NULL)"
            )
        )
        connection.execute(text("CREATE TABLE settlements(deal_id INTEGER, kind TEXT, session_id TEXT)"))
        connection.execute(
            text("INSERT INTO settlements VALUES (1680, 'rest', 'cs_test_1'), (1680, 'rest', 'cs_test_2')")
        )
        live = connection.execute(text(invariants.one_rest_session_per_deal.sql)).mappings().all()
        settled = connection.execute(text(invariants.one_settlement_per_deal_and_kind.sql)).mappings().all()
    engine.dispose()
    twice = {"deal": 1680, "kind": "rest", "one": "cs_test_1", "another": "cs_test_2"}
    assert [dict(row) for row in live] == [twice | {"live_sessions": 2}]
    assert [dict(row) for row in settled] == [twice | {"settlements": 2}]
