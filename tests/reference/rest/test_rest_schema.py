"""The constraints refuse rows that must not be, on both databases, whoever writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy.exc import IntegrityError

from reference.storage import schema, schema_rest

if TYPE_CHECKING:
    from sqlalchemy import Table

    from reference import TrioEngine

DEAL = {
    "id": 1680,
    "user_id": 7,
    "amount_minor": 100,
    "close_date": 0,
    "schedule": "50/50",
    "created_at": 0,
    "updated_at": 0,
}
CLAIM = {
    "id": "rest:1680:g1",
    "deal_id": 1680,
    "kind": "rest",
    "generation": 1,
    "state": "claimed",
    "amount_minor": 50,
    "currency": "EUR",
    "expires_at": 60,
    "idempotency_key": "k1",
    "request_body": "b",
    "request_hash": "h",
    "claimed_at": 0,
}
SECOND = {"id": "rest:1680:g2", "generation": 2, "idempotency_key": "k2"}
PAID = CLAIM | {
    "id": "deposit:1680:g1",
    "kind": "deposit",
    "state": "paid",
    "idempotency_key": "k0",
    "session_id": "cs_test_0",
    "received_minor": 50,
    "received_currency": "EUR",
}
CLOSED = CLAIM | SECOND | {"state": "expired", "closed_why": "never_created"}
SETTLEMENT = {
    "deal_id": 1680,
    "kind": "deposit",
    "session_id": "cs_test_0",
    "amount_minor": 50,
    "currency": "EUR",
    "settled_at": 0,
}
OWED = {
    "session_id": "cs_test_9",
    "deal_id": 1680,
    "kind": "rest",
    "why": "unknown_session",
    "amount_minor": 50,
    "currency": "EUR",
    "due_at": 0,
}
REMINDER = {"deal_id": 1680, "kind": "rest", "generation": 1, "slot": "link", "at": 0}
EVENT = {
    "provider": "stripe",
    "event_type": "checkout.session.completed",
    "object_id": "cs_test_0",
    "event_id": "evt_1",
    "payload": "{}",
    "received_at": 0,
}

RIGHT: list[tuple[Table, dict[str, Any]]] = [
    (schema.users, {"id": 7}),
    (schema_rest.deals, DEAL),
    (schema_rest.session_claims, CLAIM),
    (schema_rest.session_claims, PAID),
    (schema_rest.session_claims, CLOSED),
    (schema_rest.settlements, SETTLEMENT),
    (schema_rest.refund_queue, OWED),
    (schema_rest.reminders, REMINDER),
    (schema_rest.checkout_inbox, EVENT),
]
THIRD = CLAIM | {"id": "rest:1680:g3", "generation": 3, "idempotency_key": "k3"}
NAMED = {"session_id": "cs_test_3", "url": "u"}

WRONG: dict[str, tuple[Table, dict[str, Any]]] = {
    "a second live claim": (schema_rest.session_claims, THIRD),
    "a second live claim with a page": (schema_rest.session_claims, THIRD | NAMED | {"state": "open"}),
    "a second live claim that waits for the bank": (
        schema_rest.session_claims,
        THIRD | NAMED | {"state": "processing"},
    ),
    "a generation twice": (schema_rest.session_claims, CLOSED | {"id": "x", "idempotency_key": "x"}),
    "a key twice": (schema_rest.session_claims, CLOSED | {"id": "x", "generation": 3}),
    "a session of two claims": (
        schema_rest.session_claims,
        CLOSED | {"id": "x", "generation": 3, "idempotency_key": "x", "session_id": "cs_test_0"},
    ),
    "a claimed claim with a name": (
        schema_rest.session_claims,
        THIRD | {"id": "x", "deal_id": 1680, "kind": "single", "session_id": "cs_test_3"},
    ),
    "an open claim without a name": (schema_rest.session_claims, THIRD | {"kind": "single", "state": "open"}),
    "a closed claim that does not say why": (schema_rest.session_claims, THIRD | {"state": "failed"}),
    "a live claim that says why": (
        schema_rest.session_claims,
        THIRD | {"kind": "single", "closed_why": "refused"},
    ),
    "a paid claim that does not say how much": (
        schema_rest.session_claims,
        THIRD | NAMED | {"kind": "single", "state": "paid"},
    ),
    "a claim of nothing": (schema_rest.session_claims, THIRD | {"kind": "single", "amount_minor": 0}),
    "a claim of generation zero": (schema_rest.session_claims, THIRD | {"kind": "single", "generation": 0}),
    "a claim of no deal": (schema_rest.session_claims, THIRD | {"deal_id": 1}),
    "a state nobody knows": (schema_rest.session_claims, THIRD | {"kind": "single", "state": "lost"}),
    "a deal of nothing": (schema_rest.deals, DEAL | {"id": 1, "amount_minor": 0}),
    "a schedule nobody knows": (schema_rest.deals, DEAL | {"id": 1, "schedule": "thirds"}),
    "a second settlement": (schema_rest.settlements, SETTLEMENT | {"session_id": "cs_test_1"}),
    "one session for two settlements": (schema_rest.settlements, SETTLEMENT | {"kind": "rest"}),
    "a settlement by no claim's session": (
        schema_rest.settlements,
        SETTLEMENT | {"kind": "rest", "session_id": "cs_test_9"},
    ),
    "a refund owed twice": (schema_rest.refund_queue, OWED | {"why": "settled_already"}),
    "a reminder twice": (schema_rest.reminders, REMINDER),
    "a reminder of no claim": (schema_rest.reminders, REMINDER | {"generation": 9}),
    "a twin event": (schema_rest.checkout_inbox, EVENT | {"event_id": "evt_2"}),
}


async def insert(engine: TrioEngine, rows: list[tuple[Table, dict[str, Any]]]) -> None:
    async with engine.begin() as connection:
        for table, row in rows:
            await connection.execute(table.insert(), row)


async def test_right_rows_are_taken(engine: TrioEngine) -> None:
    """The rows that the wrong ones are variations of."""
    await insert(engine, RIGHT)


@pytest.mark.parametrize("what", WRONG)
async def test_wrong_rows_are_refused(engine: TrioEngine, what: str) -> None:
    """Each of them breaks one constraint, and the whole transaction with it."""
    await insert(engine, RIGHT)
    with pytest.raises(IntegrityError):
        await insert(engine, [WRONG[what]])


async def test_closed_claims_may_be_many(engine: TrioEngine) -> None:
    """Every generation keeps its row."""
    closed = [
        (
            schema_rest.session_claims,
            CLOSED | {"id": f"old-{n}", "generation": n, "idempotency_key": f"old-{n}"},
        )
        for n in range(3, 9)
    ]
    await insert(engine, [*RIGHT, *closed])
