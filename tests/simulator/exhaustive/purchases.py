"""The purchase flow as small worlds: one payment, and who notices it at the same time, a process each.

What follows when they have come to their end is left out, and no timer fires early: this is only the part in which they meet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from scenarios.incidents.subscription_224.scenario import (
    GRANTED,
    PAID,
    PAYMENT,
    notice_sweep,
    open_shop,
    pending_sweep,
    polling,
    webhook,
)
from scenarios.incidents.subscription_224.shops import TRIAL, Shop
from simulator import World
from simulator.actors import Actor
from simulator.database.sqlite import SqliteDatabase
from tests.simulator.exhaustive.brute_force import Small, State

PATHS: dict[str, Callable[[], Actor]] = {
    "webhook": webhook,
    "webhook again": webhook,
    "polling": polling,
    "sweep": pending_sweep,
    "notices": notice_sweep,
}
_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~' ORDER BY name"


def purchase(shop: Shop, paths: Sequence[str], *, status: str = "pending") -> Small:
    """A payment for a subscription that runs.

    Args:
        shop: the reference, or the shop as it was deployed.
        paths: who notices it; keys of `PATHS`.
        status: of the payment: ``pending``, or ``paid`` and not delivered.
    """

    told: list[str] = []

    async def scenario(world: World) -> None:
        remote = open_shop(world, shop)
        shop.has_subscription(world, created_at=GRANTED, given=TRIAL)
        shop.has_payment(world, PAYMENT, at=PAID, status=status, provider="yookassa")
        start = shop.process(world, remote)
        for path in paths:
            world.process(path, start=start).run(PATHS[path]())
        await world.quiesce()
        told[:] = remote.told

    def look(world: World) -> State:
        tables = [row["name"] for row in world.database.rows(_TABLES)]
        rows = [sorted(map(str, world.database.rows(f"SELECT * FROM {table}"))) for table in tables]
        return (tuple(told), *map(tuple, rows))

    return Small(scenario, look, SqliteDatabase(shop.schema))
