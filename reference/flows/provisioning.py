"""Keys on the V2Ray servers, as desired state: what is wanted is a row, what the server has confirmed is a number in it.

A purchase does not create keys. It asks for this subscription to be looked at, and looking is safe at any time: it compares,
calls the servers that lag behind, and notes each one by itself. So one dead server holds nobody up, and a retry calls only
the servers that have not confirmed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import and_, bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from reference import policies
from reference.flows import ledger, subscriptions
from reference.model import Job, Subscription
from reference.storage import schema
from reference.storage.schema import servers, subscription_keys, traffic_resets
from reference.storage.statements import insert_once
from reference.storage.transactions import atomically, reading

if TYPE_CHECKING:
    from reference.service import Service

T = TypeVar("T")

_KEYS = (
    select(
        servers.c.id,
        subscription_keys.c.wanted,
        subscription_keys.c.traffic_limit_mb,
        subscription_keys.c.version,
        subscription_keys.c.applied,
    )
    .join_from(
        servers,
        subscription_keys,
        and_(
            subscription_keys.c.server_id == servers.c.id,
            subscription_keys.c.subscription_id == bindparam("owner_id"),
        ),
        isouter=True,
    )
    .where(servers.c.active)
    .order_by(servers.c.id)
)
_THE_KEY = and_(
    subscription_keys.c.subscription_id == bindparam("owner_id"),
    subscription_keys.c.server_id == bindparam("on_server"),
)
_CHANGE = update(subscription_keys).where(_THE_KEY)
_CONFIRM = (
    update(subscription_keys)
    .where(_THE_KEY, subscription_keys.c.applied < bindparam("seen"))
    .values(applied=bindparam("seen"))
)
_OWNER = select(schema.subscriptions.c.user_id).where(schema.subscriptions.c.id == bindparam("wanted_id"))
_RESET = select(traffic_resets.c.server_id).where(traffic_resets.c.payment_id == bindparam("wanted_id"))


class ServersLagError(Exception):
    """Some servers have not confirmed yet; the job comes back for them."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key that a server has not confirmed as it is wanted now."""

    server_id: str
    wanted: str
    traffic_limit_mb: int
    version: int


async def provision(service: Service, job: Job) -> None:
    """Bring a subscription's keys on all active servers to what its expiry and its limit ask for.

    Raises:
        ServersLagError: at least one server failed; the others are noted and will not be called again.
    """
    subscription_id = str(job.subscription_id)
    lagging = await _decide(service, subscription_id)

    async def apply(key: Key) -> None:
        if key.wanted == "present":
            await service.key_servers.put(key.server_id, subscription_id, key.traffic_limit_mb)
        else:
            await service.key_servers.remove(key.server_id, subscription_id)
        await _confirm(service, subscription_id, key)

    await _each({key.server_id: key for key in lagging}, apply)


async def reset_traffic(service: Service, job: Job) -> None:
    """Set the used traffic to zero on every server with a key, once for the payment that bought it.

    Raises:
        ServersLagError: a server failed, or has no key yet; the others are noted and will not be reset again.
    """
    payment_id, subscription_id = str(job.payment_id), str(job.subscription_id)

    async def read(connection: AsyncConnection) -> tuple[list[str], list[str]]:
        keys = (await connection.execute(_KEYS, {"owner_id": subscription_id})).all()
        done = set((await connection.execute(_RESET, {"wanted_id": payment_id})).scalars())
        present = [
            key.id
            for key in keys
            if key.wanted == "present" and key.applied == key.version and key.id not in done
        ]
        return present, [key.id for key in keys if key.wanted is None or key.applied < key.version]

    ready, without_key = await reading(service.engine, read)

    async def reset(server_id: str) -> None:
        await service.key_servers.reset_traffic(server_id, subscription_id, payment_id)
        await _note_reset(service, payment_id, server_id)

    await _each({server_id: server_id for server_id in ready}, reset)
    if without_key:
        raise ServersLagError(f"no confirmed key yet on {', '.join(without_key)}")


async def _decide(service: Service, subscription_id: str) -> Sequence[Key]:
    """Write down what is wanted now, and return where a server lags behind it."""

    async def decide(connection: AsyncConnection) -> Sequence[Key]:
        owner = (await connection.execute(_OWNER, {"wanted_id": subscription_id})).scalar_one()
        await ledger.lock_user(connection, owner)
        subscription = await subscriptions.by_id(connection, subscription_id)
        assert subscription is not None  # its owner was found in its row
        wanted = wanted_state(subscription, now=service.now())
        rows = (await connection.execute(_KEYS, {"owner_id": subscription_id})).all()
        keys = [await _want(connection, subscription, row, wanted) for row in rows]
        return [key for key in keys if key is not None]

    return await atomically(service.engine, decide)


def wanted_state(subscription: Subscription, *, now: int) -> str:
    """Whether the keys of a subscription are to exist: until the grace after its expiry is over."""
    return "present" if subscription.expires_at + policies.GRACE_S > now else "absent"


async def _want(connection: AsyncConnection, subscription: Subscription, row: Any, wanted: str) -> Key | None:
    limit = policies.traffic_limit_mb(subscription)
    where = {"owner_id": subscription.id, "on_server": row.id}
    if row.wanted is None:
        if wanted == "absent":
            return None  # there never was a key, and none is wanted
        first = {
            "subscription_id": subscription.id,
            "server_id": row.id,
            "wanted": wanted,
            "traffic_limit_mb": limit,
        }
        await connection.execute(subscription_keys.insert(), first)
        return Key(row.id, wanted, limit, 1)
    if (row.wanted, row.traffic_limit_mb) != (wanted, limit):
        changed = {"wanted": wanted, "traffic_limit_mb": limit, "version": row.version + 1}
        await connection.execute(_CHANGE, {**where, **changed})
        return Key(row.id, wanted, limit, row.version + 1)
    return Key(row.id, wanted, limit, row.version) if row.applied < row.version else None


async def _confirm(service: Service, subscription_id: str, key: Key) -> None:
    """Note the version that a server has; a late worker with an older one cannot take a newer note back."""

    async def confirm(connection: AsyncConnection) -> None:
        await connection.execute(
            _CONFIRM, {"owner_id": subscription_id, "on_server": key.server_id, "seen": key.version}
        )

    await atomically(service.engine, confirm)


async def _note_reset(service: Service, payment_id: str, server_id: str) -> None:
    async def write(connection: AsyncConnection) -> None:
        await insert_once(
            connection,
            traffic_resets,
            {"payment_id": payment_id, "server_id": server_id, "done_at": service.now()},
        )

    await atomically(service.engine, write)


async def _each(items: Mapping[str, T], act: Callable[[T], Awaitable[None]]) -> None:
    """Act on every server, also after one has failed, and then report the failures together."""
    failures = {}
    for server_id, item in items.items():
        try:
            await act(item)
        except Exception as error:
            failures[server_id] = error
    if failures:
        told = "; ".join(f"{server_id}: {error!r}" for server_id, error in failures.items())
        raise ServersLagError(f"{len(failures)} of {len(items)} servers failed: {told}") from next(
            iter(failures.values())
        )
