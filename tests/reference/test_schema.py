"""The constraints refuse rows that must not be, on both databases, whoever writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy.exc import IntegrityError

from reference.storage import schema
from reference.storage.statements import insert_once

if TYPE_CHECKING:
    from sqlalchemy import Table

    from reference import TrioEngine

USER = {"id": 7}
TARIFF = {"id": 1, "kind": "paid", "price_minor": 19_900, "duration_sec": 60, "traffic_limit_mb": 0}
SUBSCRIPTION = {
    "id": "s",
    "user_id": 7,
    "token": "t",
    "expires_at": 60,
    "is_active": True,
    "created_at": 0,
    "updated_at": 0,
}
PAYMENT = {
    "id": "p",
    "create_key": "k",
    "provider": "yookassa",
    "provider_payment_id": "r",
    "user_id": 7,
    "tariff_id": 1,
    "amount_minor": 19_900,
    "duration_sec": 60,
    "status": "pending",
    "created_at": 0,
}
GRANT = {
    "grant_key": "pay:p",
    "subscription_id": "s",
    "user_id": 7,
    "payment_id": "p",
    "kind": "purchase",
    "duration_sec": 60,
    "granted_at": 0,
    "seq": 1,
}
REVERSAL = {
    "grant_key": "reversal:p",
    "subscription_id": "s",
    "user_id": 7,
    "payment_id": "p",
    "kind": "reversal",
    "duration_sec": -60,
    "granted_at": 0,
    "seq": 2,
    "reverses": "pay:p",
}
JOB = {"dedupe_key": "notice:p", "topic": "notice", "created_at": 0, "next_at": 0}
SERVER = {"id": "nl-1"}
KEY = {"subscription_id": "s", "server_id": "nl-1", "wanted": "present"}
RESET = {"payment_id": "p", "server_id": "nl-1", "done_at": 0}
NOTIFICATION = {
    "provider": "yookassa",
    "event": "payment.succeeded",
    "object_id": "r",
    "payload": "{}",
    "received_at": 0,
}

RIGHT: list[tuple[Table, dict[str, Any]]] = [
    (schema.users, USER),
    (schema.tariffs, TARIFF),
    (schema.subscriptions, SUBSCRIPTION),
    (schema.payments, PAYMENT),
    (schema.entitlement_grants, GRANT),
    (schema.entitlement_grants, REVERSAL),
    (schema.outbox, JOB),
    (schema.servers, SERVER),
    (schema.subscription_keys, KEY),
    (schema.traffic_resets, RESET),
    (schema.inbox, NOTIFICATION),
]

WRONG: dict[str, tuple[Table, dict[str, Any]]] = {
    "a tariff that lasts no time": (schema.tariffs, TARIFF | {"id": 2, "duration_sec": 0}),
    "a paid tariff for nothing": (schema.tariffs, TARIFF | {"id": 2, "price_minor": 0}),
    "a free tariff that costs": (schema.tariffs, TARIFF | {"id": 2, "kind": "free"}),
    "a second live subscription": (schema.subscriptions, SUBSCRIPTION | {"id": "s2", "token": "t2"}),
    "a token that is taken": (schema.subscriptions, SUBSCRIPTION | {"id": "s2", "is_active": False}),
    "a policy nobody knows": (
        schema.subscriptions,
        SUBSCRIPTION | {"id": "s2", "token": "t2", "is_active": False, "policy": "gold"},
    ),
    "a subscription of nobody": (
        schema.subscriptions,
        SUBSCRIPTION | {"id": "s2", "token": "t2", "user_id": 8},
    ),
    "a payment of nothing": (
        schema.payments,
        PAYMENT | {"id": "p2", "create_key": "k2", "provider_payment_id": "r2", "amount_minor": 0},
    ),
    "a second payment for one intention": (
        schema.payments,
        PAYMENT | {"id": "p2", "provider_payment_id": "r2"},
    ),
    "one remote payment for two of ours": (schema.payments, PAYMENT | {"id": "p2", "create_key": "k2"}),
    "a payment for no tariff": (
        schema.payments,
        PAYMENT | {"id": "p2", "create_key": "k2", "provider_payment_id": "r2", "tariff_id": 9},
    ),
    "a payment paid at no time": (
        schema.payments,
        PAYMENT | {"id": "p2", "create_key": "k2", "provider_payment_id": "r2", "status": "paid"},
    ),
    "a completed payment without a link": (
        schema.payments,
        PAYMENT
        | {
            "id": "p2",
            "create_key": "k2",
            "provider_payment_id": "r2",
            "status": "completed",
            "paid_at": 0,
            "completed_at": 0,
        },
    ),
    "a second grant for a payment": (schema.entitlement_grants, GRANT | {"seq": 3}),
    "a second grant under another key": (
        schema.entitlement_grants,
        GRANT | {"grant_key": "pay:p again", "seq": 3},
    ),
    "a sale without a payment": (
        schema.entitlement_grants,
        GRANT | {"grant_key": "gift:1", "payment_id": None, "seq": 3},
    ),
    "a gift for a payment": (
        schema.entitlement_grants,
        GRANT | {"grant_key": "gift:1", "kind": "gift", "seq": 3},
    ),
    "a grant of negative time": (
        schema.entitlement_grants,
        GRANT | {"grant_key": "gift:1", "payment_id": None, "kind": "gift", "duration_sec": -1, "seq": 3},
    ),
    "a reversal that gives": (
        schema.entitlement_grants,
        REVERSAL | {"grant_key": "reversal:2", "duration_sec": 60, "seq": 3},
    ),
    "a reversal of nothing": (
        schema.entitlement_grants,
        REVERSAL | {"grant_key": "reversal:2", "reverses": None, "seq": 3},
    ),
    "a second reversal of a grant": (
        schema.entitlement_grants,
        REVERSAL | {"grant_key": "reversal:2", "seq": 3},
    ),
    "two lines in one place": (
        schema.entitlement_grants,
        GRANT | {"grant_key": "gift:1", "payment_id": None, "kind": "gift"},
    ),
    "a grant to no subscription": (
        schema.entitlement_grants,
        GRANT
        | {"grant_key": "gift:1", "payment_id": None, "kind": "gift", "subscription_id": "nowhere", "seq": 3},
    ),
    "a job asked for twice": (schema.outbox, JOB),
    "a job both done and dead": (schema.outbox, JOB | {"dedupe_key": "x", "done_at": 0, "dead_at": 0}),
    "an ensure job that was given up": (
        schema.outbox,
        JOB | {"dedupe_key": "x", "topic": "ensure", "dead_at": 0},
    ),
    "a topic without a handler": (schema.outbox, JOB | {"dedupe_key": "x", "topic": "fax"}),
    "a second key on a server": (schema.subscription_keys, KEY),
    "a key ahead of what is wanted": (
        schema.subscription_keys,
        KEY | {"server_id": "de-1", "version": 1, "applied": 2},
    ),
    "a second reset for a payment": (schema.traffic_resets, RESET),
    "a notification kept twice": (schema.inbox, NOTIFICATION),
}


async def insert(engine: TrioEngine, rows: list[tuple[Table, dict[str, Any]]]) -> None:
    async with engine.begin() as connection:
        for table, row in rows:
            await connection.execute(table.insert(), row)


async def test_right_rows_are_taken(engine: TrioEngine) -> None:
    """The rows that the wrong ones are variations of."""
    await insert(engine, [*RIGHT, (schema.servers, {"id": "de-1"})])


@pytest.mark.parametrize("what", WRONG)
async def test_wrong_rows_are_refused(engine: TrioEngine, what: str) -> None:
    """Each of them breaks one constraint, and the whole transaction with it."""
    await insert(engine, [*RIGHT, (schema.servers, {"id": "de-1"})])
    with pytest.raises(IntegrityError):
        await insert(engine, [WRONG[what]])


async def test_a_grant_may_come_before_the_subscription_that_it_opens(engine: TrioEngine) -> None:
    """That foreign key is checked at the commit: the grant decides, and so it comes first."""
    rows = [row for row in RIGHT if row[0] is not schema.subscriptions]
    await insert(engine, [*rows[:4], (schema.subscriptions, SUBSCRIPTION)])


async def test_closed_subscriptions_may_be_many(engine: TrioEngine) -> None:
    """Only one may be live; the others keep their grants."""
    closed = [
        (schema.subscriptions, SUBSCRIPTION | {"id": f"old-{n}", "token": f"old-{n}", "is_active": False})
        for n in range(3)
    ]
    await insert(engine, [(schema.users, USER), *closed, (schema.subscriptions, SUBSCRIPTION)])


async def test_only_a_collision_on_the_key_itself_passes_for_done_already(engine: TrioEngine) -> None:
    """Another grant in the same place of the ledger is a mistake; forgiven, it would swallow a payment."""
    await insert(engine, RIGHT)
    gift = GRANT | {"grant_key": "gift:1", "payment_id": None, "kind": "gift"}
    async with engine.begin() as connection:
        assert await insert_once(connection, schema.entitlement_grants, GRANT | {"seq": 9}) is False
        assert await insert_once(connection, schema.entitlement_grants, gift | {"seq": 9}) is True
        with pytest.raises(IntegrityError):
            await insert_once(connection, schema.entitlement_grants, gift | {"grant_key": "gift:2"})
        await connection.rollback()


async def test_creating_the_tables_again_changes_nothing(engine: TrioEngine) -> None:
    """It creates what is missing, and nothing is."""
    await insert(engine, RIGHT)
    await schema.create_tables(engine)
    async with engine.snapshot() as connection:
        assert len((await connection.execute(schema.entitlement_grants.select())).all()) == 2
