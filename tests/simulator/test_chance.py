"""Is chance the same in every execution, and real outside?"""

from __future__ import annotations

import importlib
import os
import random
import secrets
import tempfile
import uuid
from os import urandom as captured_urandom
from typing import Any

from simulator import Claims, Operator, World
from simulator.database import NoDatabase
from simulator.execution import Simulation
from simulator.schedulers.replay import Wish


def draw_everything() -> list[Any]:
    return [
        str(uuid.uuid4()),
        secrets.token_hex(8),
        secrets.randbelow(10**9),
        os.urandom(8).hex(),
        captured_urandom(8).hex(),
        random.SystemRandom().random(),
        random.Random().random(),
        random.random(),
        random.getrandbits(64),
        next(tempfile._RandomNameSequence()),
    ]


def test_chance_is_the_same_in_each_execution_and_real_outside() -> None:
    """uuid4, secrets, os.urandom and random repeat, in lanes and in the scenario's body, and only there."""
    inside: list[list[Any]] = []

    async def draws() -> None:
        inside[-1].append(draw_everything())
        random.seed()
        inside[-1].append(random.random())

    async def scenario(world: World) -> None:
        inside.append([draw_everything()])
        world.run(Operator(draws))
        await world.quiesce()

    state = random.getstate()
    with Simulation(scenario, Claims(), NoDatabase()) as simulation:
        simulation.execute(Wish({}, []))
        outside = draw_everything()
        simulation.execute(Wish({}, []))
        again = draw_everything()
    assert inside[0] == inside[1]
    assert [one == other for one, other in zip(outside, again, strict=True)] == [False] * 7 + [True] * 2 + [
        False
    ]
    assert random.getstate() == state
    assert os.urandom is captured_urandom
    assert importlib.import_module("os").urandom(4) != b""


def test_bytes_are_drawn_per_lane_whatever_the_order(execute: Any) -> None:
    """What one actor draws does not depend on when the others drew, so a shrunk schedule has the same data."""

    def drawn(*runs: tuple[str, int]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {"a": [], "b": []}

        async def draws(world: World, name: str) -> None:
            for _ in range(3):
                await world.point("draw")
                found[name].append(str(uuid.uuid4()))

        async def scenario(world: World) -> None:
            world.run(Operator(draws, world, "a", name="a"), Operator(draws, world, "b", name="b"))
            await world.quiesce()

        execute(scenario, *runs)
        return found

    one = drawn(("a", 9), ("b", 9))
    assert one == drawn(("b", 2), ("a", 3), ("b", 1), ("a", 9))
    assert len({*one["a"], *one["b"]}) == 6


def test_sqlites_chance_is_seeded_too(execute: Any) -> None:
    """random(), randomblob() and ORDER BY random() repeat."""
    drawn: list[Any] = []

    async def draws(world: World) -> None:
        async with world.database.connection() as connection:
            await connection.execute("INSERT INTO t (id, name) VALUES (1, 'x'), (2, 'y'), (3, 'z')")
            drawn.append(
                await connection.execute_fetchall(
                    "SELECT random(), hex(randomblob(4)), name FROM t ORDER BY random()"
                )
            )

    async def scenario(world: World) -> None:
        world.run(Operator(draws, world))
        await world.quiesce()

    for _ in range(2):
        execute(
            scenario,
            schema="CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT DEFAULT (hex(randomblob(16))))",
        )
    assert drawn[0] == drawn[1]
    assert len({row[0] for row in drawn[0]}) == 3
