"""How many executions an exhaustive search needs for each class there is; a brute force counts the classes."""

from __future__ import annotations

from collections.abc import Iterator

from tests.bench.measure import Effort, Goal, Measurement
from tests.simulator.exhaustive.brute_force import all_of, of_programs, searched
from tests.simulator.exhaustive.litmus import LITMUS


def optimality(_effort: Effort) -> Iterator[Measurement]:
    """The worst of the litmus programs."""
    ratios = {}
    for name, programs in LITMUS.items():
        every = all_of(of_programs(*programs), waiting_is_a_step=False)
        found = searched(of_programs(*programs))
        assert every is not None
        if not set(every.states) <= set(found.states):
            raise AssertionError(f"{name}: the search missed a state that an interleaving ends in")
        ratios[name] = found.executions / len(every.classes)
    worst = max(ratios, key=lambda name: ratios[name])
    yield Measurement(
        "optimality_worst",
        ratios[worst],
        "executions per class",
        f"exhaustive search on SQLite, the worst of {len(ratios)} litmus programs of 2 or 3 actors ({worst}); classes "
        "counted by executing every interleaving; no state missed",
        Goal("<=", 1.0),
    )
