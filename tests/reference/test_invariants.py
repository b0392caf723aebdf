"""Each invariant is silent where all is well and finds its own kind of damage; a check that cannot fail is no check."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import sqlalchemy
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

import reference
from reference import invariants, policies
from reference.model import Grant, GrantKind
from reference.storage import schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Shop

DAY = 86_400
NOON = 1_767_355_200

DAMAGE = {
    "expiry_is_sum_of_paid_durations": "UPDATE subscriptions SET expires_at = expires_at + 2592000",
    "expiry_is_fold_of_ledger": "UPDATE subscriptions SET expires_at = expires_at + 2592000",
    "one_grant_per_paid_payment": "UPDATE entitlement_grants SET duration_sec = 1",
    "no_paid_payment_without_due_job": "UPDATE payments SET status = 'paid'",
    "every_paid_payment_is_delivered": "UPDATE payments SET status = 'paid'",
    "one_notice_per_payment": "DELETE FROM outbox WHERE topic = 'notice'",
    "keys_match_what_is_wanted": "UPDATE subscription_keys SET version = version + 1",
    "traffic_reset_once_per_payment": "DELETE FROM entitlement_grants",
    "money_in_is_granted_or_refunded": "UPDATE payments SET received_minor = received_minor + 1",
    "links_follow_the_ledger": "UPDATE payments SET subscription_id = (SELECT id FROM subscriptions WHERE user_id = 8)",
}
REFUSED_BY_THE_SCHEMA = {"one_subscription_per_user", "one_key_per_subscription_and_server"}


async def test_all_invariants_hold_where_the_service_wrote(either_shop: Shop) -> None:
    """Trial, purchase, extension, refund, VIP, keys and notices: on both databases, word for word."""
    shop = either_shop
    await shop.service.trial(7, 3)
    await shop.bought("first")
    second = await shop.bought("second")
    await shop.service.set_vip(8, vip=True, operator="anna")
    await shop.bought("other", user=9, tariff=2)
    while await shop.service.relay():
        pass
    assert await shop.broken_claims() == {}
    shop.pays(second, status=reference.ProviderStatus.REFUNDED)
    await shop.service.yookassa_webhook(
        {"event": "refund.succeeded", "object": {"id": "r", "payment_id": f"remote-{second}"}}
    )
    while await shop.service.relay():
        pass
    assert await shop.broken_claims() == {}


@pytest.mark.parametrize("name", DAMAGE)
async def test_each_invariant_finds_its_damage(either_shop: Shop, name: str) -> None:
    """A healthy shop, one statement by hand, and the claim is broken."""
    await either_shop.bought("first")
    await either_shop.bought("other", user=8)
    await either_shop.service.relay()
    await either_shop.write(DAMAGE[name])
    broken = await either_shop.broken_claims(getattr(invariants, name))
    assert broken[name]


def test_every_invariant_is_either_damaged_here_or_refused_by_the_schema() -> None:
    """So a new one comes with its damage."""
    # Of the other flows: rest/, test_tickets_schema.py, test_messages_schema.py.
    others = (*invariants.REST, *invariants.TICKETS, *invariants.MESSAGES)
    elsewhere = {invariant.name for invariant in others}
    assert {
        invariant.name for invariant in reference.ALL
    } - elsewhere == DAMAGE.keys() | REFUSED_BY_THE_SCHEMA
    assert all(getattr(invariants, invariant.name) is invariant for invariant in reference.ALL)


def _unguarded() -> sqlalchemy.Engine:
    """The tables without the unique index and without a primary key on the keys, as a careless schema would have them."""
    engine = sqlalchemy.create_engine("sqlite://")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE subscriptions(id TEXT, user_id INTEGER, is_active BOOLEAN)"))
        connection.execute(
            text(
                "INSERT INTO subscriptions VALUES ('a', 7, true), ('b', 7, true), ('c', 8, true), ('d', 8, false)"
            )
        )
        connection.execute(text("CREATE TABLE subscription_keys(subscription_id TEXT, server_id TEXT)"))
        connection.execute(
            text("INSERT INTO subscription_keys VALUES ('a', 'nl-1'), ('a', 'nl-1'), ('a', 'de-1')")
        )
    return engine


def test_what_our_schema_refuses_is_found_in_a_careless_one() -> None:
    """These invariants judge other people's tables too."""
    engine = _unguarded()
    with engine.connect() as connection:
        live = connection.execute(text(invariants.one_subscription_per_user.sql)).mappings().all()
        keys = connection.execute(text(invariants.one_key_per_subscription_and_server.sql)).mappings().all()
    engine.dispose()
    assert [dict(row) for row in live] == [{"buyer": 7, "live_subscriptions": 2, "one": "a", "another": "b"}]
    assert [dict(row) for row in keys] == [{"subscription": "a", "server": "nl-1", "keys": 2}]


async def test_a_double_extension_reads_like_one(shop: Shop) -> None:
    """The row says what was paid for, what should be, what is, and the difference: the sentence of incident #224."""
    await shop.service.trial(7, 3)
    payment = await shop.bought()
    await shop.write("UPDATE subscriptions SET expires_at = expires_at + 2592000")
    (row,) = (await shop.broken_claims(invariants.expiry_is_sum_of_paid_durations))[
        "expiry_is_sum_of_paid_durations"
    ]
    assert row == {
        "subscription": "sub:trial:7",
        "buyer": 7,
        "paid_sec": 33 * DAY,
        "should_expire_at": NOON + 33 * DAY,
        "expires_at": NOON + 63 * DAY,
        "surplus_sec": 30 * DAY,
    }
    assert payment


async def test_code_without_a_ledger_is_judged_by_its_payments(shop: Shop) -> None:
    """The expiry was moved by an UPDATE and no grant was written: once is right, not at all and twice are wrong."""
    await shop.service.trial(7, 3)
    await shop.paid()
    await shop.write(
        "UPDATE payments SET status = 'completed', subscription_id = 'sub:trial:7', completed_at = paid_at"
    )
    claim = invariants.expiry_is_sum_of_paid_durations
    assert await shop.broken_claims(claim) != {}
    await shop.write("UPDATE subscriptions SET expires_at = expires_at + 2592000")
    assert await shop.broken_claims(claim) == {}
    await shop.write("UPDATE subscriptions SET expires_at = expires_at + 2592000")
    assert await shop.broken_claims(claim) != {}


@pytest.fixture(scope="module")
def tables_in_memory() -> Iterator[sqlalchemy.Engine]:
    """The tables in a database of one connection."""
    engine = sqlalchemy.create_engine("sqlite://")
    reference.metadata.create_all(engine)
    yield engine
    engine.dispose()


LINE = st.tuples(
    st.integers(0, 40), st.integers(1, 30), st.booleans()
)  # days until it, days of it, taken back later?


@settings(deadline=None)  # how fast this machine is says nothing about the fold
@given(drawn=st.lists(LINE, max_size=6))
def test_the_closed_form_in_sql_is_the_fold_in_python(
    tables_in_memory: sqlalchemy.Engine, drawn: list[tuple[int, int, bool]]
) -> None:
    """For any ledger: gaps, overlaps and reversals."""
    lines, at = [], NOON
    for seq, (gap, days, _) in enumerate(drawn, 1):
        at += gap * DAY
        lines.append(Grant(f"g{seq}", seq, GrantKind.GIFT, days * DAY, at, None))
    taken_back = [line for line, (*_, back) in zip(lines, drawn, strict=True) if back]
    for seq, line in enumerate(taken_back, len(lines) + 1):
        lines.append(Grant(f"r{seq}", seq, GrantKind.REVERSAL, -line.duration_sec, at, line.grant_key))
    expires_at = policies.fold(lines)
    assert _ledger_says(tables_in_memory, lines, expires_at) == []
    assert _ledger_says(tables_in_memory, lines, expires_at + 1) == [(expires_at, expires_at + 1)]


def _ledger_says(engine: sqlalchemy.Engine, lines: list[Grant], expires_at: int) -> list[tuple[int, int]]:
    """What the invariant finds for these lines and this expiry."""
    subscription = {
        "id": "s",
        "user_id": 7,
        "token": "t",
        "expires_at": expires_at,
        "created_at": 0,
        "updated_at": 0,
    }
    with engine.connect() as connection:
        connection.execute(schema.users.insert(), {"id": 7})
        connection.execute(schema.subscriptions.insert(), subscription)
        for line in lines:
            row = {
                "grant_key": line.grant_key,
                "subscription_id": "s",
                "user_id": 7,
                "kind": line.kind.value,
                "seq": line.seq,
            }
            row |= {
                "duration_sec": line.duration_sec,
                "granted_at": line.granted_at,
                "reverses": line.reverses,
            }
            connection.execute(schema.entitlement_grants.insert(), row)
        found = connection.execute(text(invariants.expiry_is_fold_of_ledger.sql)).all()
        connection.rollback()
    return [(row.ledger_expires_at, row.expires_at) for row in found]
