"""The ticket tables refuse rows that must not be, and the invariants find them in tables that do not refuse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from reference import PaymentStatus, invariants
from reference.flows import payments, reversals
from reference.storage import schema_tickets as schema

if TYPE_CHECKING:
    from conftest import Shop
    from sqlalchemy import Table

NOON = 1_767_355_200
DAMAGE = {
    "every_eligible_order_is_decided": "UPDATE contests SET ends_at = ends_at + 31536000",
    "award_job_is_born_with_the_order": "DELETE FROM outbox WHERE topic = 'award'",
    "tickets_equal_the_decision": "UPDATE ticket_ledger SET delta = delta + 1",
    "ref_events_agree_with_the_ledger": "UPDATE ref_events SET status = 'bound', qualified_at = NULL",
    "tickets_follow_the_money": "UPDATE payments SET status = 'refunded'",
}
REFUSED_BY_THE_SCHEMA = {"one_award_per_order_and_reason", "one_qualified_payment_per_friend"}


async def awarded(shop: Shop) -> str:
    """A contest, a friend, and an order that gave tickets to both; another order from after the contest."""
    await shop.contest(ends_at=NOON + 60)
    await shop.service.bind_referral(referrer_id=3, referred_id=7)
    order = await shop.bought()
    shop.clock.at += 60
    await shop.bought("late", user=8)
    while await shop.service.relay():
        pass
    return order


@pytest.mark.parametrize("name", DAMAGE)
async def test_each_invariant_finds_its_damage(either_shop: Shop, name: str) -> None:
    """All is well, one statement by hand, and the claim is broken."""
    await awarded(either_shop)
    assert await either_shop.broken_claims() == {}
    if name == "every_eligible_order_is_decided":
        await either_shop.write("DELETE FROM award_decisions WHERE outcome = 'not_eligible'")
    await either_shop.write(DAMAGE[name])
    assert (await either_shop.broken_claims(getattr(invariants, name)))[name]


@pytest.mark.parametrize(
    "damage", ["DELETE FROM ticket_ledger", "DELETE FROM ticket_ledger WHERE reason = 'INVITEE_PAYMENT'"]
)
async def test_tickets_that_are_missing_are_found_too(shop: Shop, damage: str) -> None:
    """The decision says how many there should be."""
    await awarded(shop)
    await shop.write(damage)
    assert "tickets_equal_the_decision" in await shop.broken_claims()


async def test_tickets_taken_back_for_nothing_are_found(shop: Shop) -> None:
    """The refund was undone by hand."""
    order = await awarded(shop)
    await reversals.reverse(shop.service, await payments.get(shop.service, order), PaymentStatus.REFUNDED)
    await shop.service.award(order)
    assert await shop.broken_claims() == {}
    await shop.write("UPDATE payments SET status = 'completed'")
    assert "tickets_follow_the_money" in await shop.broken_claims(invariants.tickets_follow_the_money)


def test_every_invariant_is_either_damaged_here_or_refused_by_the_schema() -> None:
    """So a new one comes with its damage."""
    names = {invariant.name for invariant in invariants.TICKETS}
    assert names == DAMAGE.keys() | REFUSED_BY_THE_SCHEMA
    assert all(getattr(invariants, invariant.name) is invariant for invariant in invariants.TICKETS)


def test_what_our_schema_refuses_is_found_in_a_careless_one() -> None:
    """Seed 003's ledger: random ids and no unique key, so a redelivered webhook is two awards."""
    engine = sqlalchemy.create_engine("sqlite://")
    with engine.begin() as connection:
        connection.execute(
            text(
                "CREATE TABLE ticket_ledger(id TEXT, contest_id TEXT, order_id TEXT, reason TEXT, beneficiary_id INTEGER, buyer_id INTEGER, delta INTEGER)"
            )
        )
        for row in ("'a', 'c', 'o', 'SELF_PURCHASE', 7", "'b', 'c', 'o', 'SELF_PURCHASE', 7"):
            connection.execute(text(f"INSERT INTO ticket_ledger VALUES ({row}, 7, 5)"))
        for row in ("'d', 'c', 'o1', 'INVITEE_PAYMENT', 3", "'e', 'c', 'o2', 'INVITEE_PAYMENT', 3"):
            connection.execute(text(f"INSERT INTO ticket_ledger VALUES ({row}, 7, 5)"))
        twice = connection.execute(text(invariants.one_award_per_order_and_reason.sql)).mappings().all()
        friend = connection.execute(text(invariants.one_qualified_payment_per_friend.sql)).mappings().all()
    engine.dispose()
    assert [dict(row) for row in twice] == [
        {
            "contest": "c",
            "paid_order": "o",
            "reason": "SELF_PURCHASE",
            "beneficiary": 7,
            "awards": 2,
            "tickets": 10,
        }
    ]
    assert [dict(row) for row in friend] == [{"contest": "c", "friend": 7, "payments": 2}]


def line(reason: str, beneficiary: int, **changes: Any) -> dict[str, Any]:
    """A line about the late order, of which nothing is in the ledger."""
    row = {
        "contest_id": "january",
        "order_id": "LATE",
        "reason": reason,
        "beneficiary_id": beneficiary,
        "buyer_id": 8,
        "delta": 5,
        "created_at": 0,
    } | changes
    row["id"] = row.get("id") or f"ticket:january:{row['order_id']}:{reason}:{beneficiary}"
    return row


DECISION = {
    "contest_id": "february",
    "buyer_id": 7,
    "outcome": "awarded",
    "why": "in_period",
    "tickets": 5,
    "referral": "no_referral",
    "decided_at": 0,
}
WRONG: dict[str, tuple[Table, dict[str, Any]]] = {
    "a contest that ends before it starts": (
        schema.contests,
        {"id": "x", "starts_at": 2, "ends_at": 2, "attribution_window_days": 1},
    ),
    "a contest without a start": (
        schema.contests,
        {"id": "x", "starts_at": 0, "ends_at": 2, "attribution_window_days": 1},
    ),
    "a contest without a window": (
        schema.contests,
        {"id": "x", "starts_at": 1, "ends_at": 2, "attribution_window_days": 0},
    ),
    "no tickets for a tariff": (
        schema.contest_tickets,
        {"contest_id": "february", "tariff_id": 3, "tickets": 0},
    ),
    "a second invitation": (schema.user_referrals, {"referred_id": 7, "referrer_id": 8, "bound_at": 0}),
    "an invitation of oneself": (schema.user_referrals, {"referred_id": 8, "referrer_id": 8, "bound_at": 0}),
    "tickets for who is not eligible": (
        schema.award_decisions,
        DECISION | {"outcome": "not_eligible", "why": "no_tickets", "referral": "not_asked"},
    ),
    "an award of no tickets": (schema.award_decisions, DECISION | {"tickets": 0}),
    "an award for a reason against it": (schema.award_decisions, DECISION | {"why": "outside_period"}),
    "an award that did not ask about the referrer": (
        schema.award_decisions,
        DECISION | {"referral": "not_asked"},
    ),
    "a qualified referral without a referrer": (
        schema.award_decisions,
        DECISION | {"referral": "qualified"},
    ),
    "a referrer who did not qualify": (schema.award_decisions, DECISION | {"referrer_id": 3}),
    "a second decision": (schema.award_decisions, DECISION | {"contest_id": "january"}),
    "a line without a decision": (
        schema.ticket_ledger,
        line("SELF_PURCHASE", 8, contest_id="february", id="ticket:february:LATE:SELF_PURCHASE:8"),
    ),
    "a line under another name": (schema.ticket_ledger, line("SELF_PURCHASE", 8, id="ticket_self_1_x")),
    "a line given twice": (schema.ticket_ledger, line("SELF_PURCHASE", 7, order_id="FIRST", buyer_id=7)),
    "a friend brought twice": (schema.ticket_ledger, line("INVITEE_PAYMENT", 3, buyer_id=7)),
    "a line that takes without reversing": (schema.ticket_ledger, line("SELF_PURCHASE", 8, delta=-5)),
    "a line of nothing": (schema.ticket_ledger, line("SELF_PURCHASE", 8, delta=0)),
    "a purchase for somebody else": (schema.ticket_ledger, line("SELF_PURCHASE", 3)),
    "an invitation paid to the buyer": (schema.ticket_ledger, line("INVITEE_PAYMENT", 8)),
    "a reversal of nothing": (schema.ticket_ledger, line("REVERSAL", 8, delta=-5)),
    "a reversal that gives": (
        schema.ticket_ledger,
        line("REVERSAL", 8, delta=5, reverses="ticket:january:FIRST:SELF_PURCHASE:7"),
    ),
    "a qualified event without a date": (
        schema.ref_events,
        {
            "contest_id": "january",
            "referrer_id": 3,
            "referred_id": 8,
            "status": "qualified",
            "bound_at": 0,
        },
    ),
}


@pytest.mark.parametrize("what", WRONG)
async def test_wrong_rows_are_refused(either_shop: Shop, what: str) -> None:
    """Each of them breaks one constraint; the same row without its fault is taken."""
    shop = either_shop
    first = await awarded(shop)
    await shop.contest("february", starts_at=NOON + 60)
    late = (await shop.one("SELECT id FROM payments WHERE user_id = 8")).id
    table, row = WRONG[what]
    if table in (schema.award_decisions, schema.ticket_ledger):
        row = {"order_id": "FIRST"} | row
        row = {
            key: value.replace("FIRST", first).replace("LATE", late) if isinstance(value, str) else value
            for key, value in row.items()
        }
    with pytest.raises(IntegrityError):
        async with shop.engine.begin() as connection:
            await connection.execute(table.insert(), row)


async def test_right_rows_are_taken(either_shop: Shop) -> None:
    """What the wrong ones are variations of."""
    shop = either_shop
    first = await awarded(shop)
    await shop.contest("february", starts_at=NOON + 60)
    late = (await shop.one("SELECT id FROM payments WHERE user_id = 8")).id
    async with shop.engine.begin() as connection:
        await connection.execute(schema.award_decisions.insert(), DECISION | {"order_id": first})
        for reason, to in (("SELF_PURCHASE", 8), ("INVITEE_PAYMENT", 3)):
            await connection.execute(schema.ticket_ledger.insert(), line(reason, to, order_id=late))
        taken = line(
            "REVERSAL", 8, order_id=late, delta=-5, reverses=f"ticket:january:{late}:SELF_PURCHASE:8"
        )
        await connection.execute(schema.ticket_ledger.insert(), taken)
