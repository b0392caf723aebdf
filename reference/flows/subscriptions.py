"""A user's subscription as a row: found, opened, saved. What it should say is decided by the ledger or by an operator.

Everything here runs inside a transaction that has locked the user (`reference.flows.ledger.lock_user`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import uuid4

from sqlalchemy import Row, bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from reference import policies
from reference.model import Subscription, SubscriptionPolicy
from reference.storage import schema
from reference.storage.statements import insert_once

_TABLE = schema.subscriptions
_LIVE = select(_TABLE).where(_TABLE.c.user_id == bindparam("owner_id"), _TABLE.c.is_active)
_BY_ID = select(_TABLE).where(_TABLE.c.id == bindparam("wanted_id"))
_SAVE = update(_TABLE).where(_TABLE.c.id == bindparam("saved_id"))


class TokensExhaustedError(Exception):
    """As many random tokens in a row as we try were taken already: the random generator is broken."""


async def live(connection: AsyncConnection, user_id: int) -> Subscription | None:
    """The user's one live subscription, expired or not."""
    row = (await connection.execute(_LIVE, {"owner_id": user_id})).first()
    return _from(row) if row is not None else None


async def by_id(connection: AsyncConnection, subscription_id: str) -> Subscription | None:
    """A subscription, live or closed."""
    row = (await connection.execute(_BY_ID, {"wanted_id": subscription_id})).first()
    return _from(row) if row is not None else None


def blank(subscription_id: str, user_id: int) -> Subscription:
    """A subscription before anything was given: expired since 1970, and without a token until it is opened."""
    return Subscription(
        subscription_id, user_id, "", 0, SubscriptionPolicy.NORMAL, None, policies.UNLIMITED_MB
    )


async def open_(connection: AsyncConnection, new: Subscription, *, now: int) -> Subscription:
    """Insert a subscription under a token that nobody has.

    A second live one of the same user is refused by the schema; that is not forgiven here, it raises.

    Raises:
        TokensExhaustedError: see there.
    """
    for _ in range(policies.TOKEN_ATTEMPTS_MAX):
        opened = replace(new, token=str(uuid4()))
        row = {
            **_terms(opened, now),
            "id": opened.id,
            "user_id": opened.user_id,
            "token": opened.token,
            "created_at": now,
        }
        if await insert_once(connection, _TABLE, row, key=[_TABLE.c.token]):
            return opened
    raise TokensExhaustedError(f"{policies.TOKEN_ATTEMPTS_MAX} tokens for {new.id} were all taken")


async def save(connection: AsyncConnection, subscription: Subscription, *, now: int) -> Subscription:
    """Write what may change of a subscription, and return it."""
    await connection.execute(_SAVE, {"saved_id": subscription.id, **_terms(subscription, now)})
    return subscription


def _terms(subscription: Subscription, now: int) -> dict[str, Any]:
    return {
        "expires_at": subscription.expires_at,
        "policy": subscription.policy.value,
        "tariff_id": subscription.tariff_id,
        "traffic_limit_mb": subscription.traffic_limit_mb,
        "updated_at": now,
    }


def _from(row: Row[Any]) -> Subscription:
    policy = SubscriptionPolicy(row.policy)
    return Subscription(
        row.id, row.user_id, row.token, row.expires_at, policy, row.tariff_id, row.traffic_limit_mb
    )
