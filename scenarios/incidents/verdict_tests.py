"""Makes pytest tests of an incident's variants: each one's verdict is what its simulation says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from scenarios.incidents.variants import Incident, Variant
from simulator import Exploration, Specification, load_schedule, replay
from simulator.database.sqlite import SqliteDatabase
from simulator.simulate import MARK


def verdict_test(incident: Incident) -> Callable[..., None]:
    """One test per variant. Assign it to a name that begins with ``test_``."""

    @pytest.mark.parametrize("variant", incident.variants, ids=lambda variant: variant.name)
    def test(request: pytest.FixtureRequest, variant: Variant) -> None:
        variant.run(request=request)

    setattr(test, MARK, True)  # so that --schedule finds it
    test.__doc__ = f"{incident.title}: each variant's verdict."
    return test


def replayed(specification: Specification, path: Path) -> Exploration:
    """Replays a pinned schedule; a timeline of an incident, for instance.

    Raises:
        AssertionError: the schedule drifted: it no longer says what happens.
        SimulatorError: as `simulator.replay`.
    """
    assert specification.schema is not None
    result, drift = replay(
        specification.scenario,
        load_schedule(path),
        claims=specification.claims,
        database=SqliteDatabase(specification.schema),
        bounds=specification.bounds,
    )
    assert not drift, f"{path.name} no longer fits the code: {drift}"
    return result
