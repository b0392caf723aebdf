"""What the simulator's tests share: one execution of one scenario, and schedules written by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from simulator.database import NoDatabase
from simulator.database.sqlite import SqliteDatabase
from simulator.execution import Bounds, Claims, Outcome, Simulation
from simulator.schedulers.replay import Wish

Execute = Callable[..., Outcome]


@pytest.fixture
def execute() -> Execute:
    """Runs one execution: ``execute(scenario, ("a", 2), ("b", 1), schema=..., choices=..., detailed=...)``.

    The pairs say which lane moves and how often, as far as it can; after the last one the dullest schedule goes on.
    """

    def run(
        scenario: Any,
        *runs: tuple[str, int],
        schema: Any = None,
        choices: dict[str, int] | None = None,
        claims: Claims | None = None,
        bounds: Bounds | None = None,
        scheduler: Any = None,
        detailed: bool = False,
    ) -> Outcome:
        database = SqliteDatabase(schema) if schema is not None else NoDatabase()
        with Simulation(scenario, claims or Claims(), database, bounds or Bounds()) as simulation:
            return simulation.execute(scheduler or Wish(choices or {}, runs), detailed=detailed)

    return run
