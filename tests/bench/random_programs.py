"""Does the exhaustive search miss anything of random small SQL programs, and how much does it do in vain?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.bench.measure import FULL, Effort, Goal, Measurement
from tests.simulator.exhaustive.brute_force import Program, all_of, of_programs
from tests.simulator.exhaustive.classes import Executed, executed_by_the_search
from tests.simulator.exhaustive.random_programs import longer_sql_programs, sql_programs
from tests.simulator.exhaustive.sleep_sets import executed_with_sleep_sets

_PROGRAMS, _QUICK = 500, 5
_INTERLEAVINGS_MAX = 500
_DRAWS = 4  # for each program that is compared; the others have too many interleavings


@dataclass(slots=True)
class Tally:
    """What came of the programs so far."""

    programs: int = 0
    missed: int = 0
    begun: int = 0
    classes: int = 0

    def add(self, found: Executed, *, missed: bool) -> None:
        """Adds a program."""
        self.programs += 1
        self.missed += missed
        self.begun += found.begun
        self.classes += len(found.classes)


def random_programs(effort: Effort) -> Iterator[Measurement]:
    """Short ones against every interleaving of them, longer ones against sleep sets."""
    programs = _PROGRAMS if effort.seeds >= FULL.seeds else _QUICK
    short, longer = Tally(), Tally()

    def against_every_interleaving(drawn: list[Program]) -> None:
        every = all_of(of_programs(*drawn), waiting_is_a_step=True, at_most=_INTERLEAVINGS_MAX)
        if every is not None:
            found = executed_by_the_search(of_programs(*drawn))
            short.add(found, missed=found.states.keys() != every.states.keys())

    def against_sleep_sets(drawn: list[Program]) -> None:
        found = executed_by_the_search(of_programs(*drawn))
        counted = executed_with_sleep_sets(of_programs(*drawn))
        longer.add(found, missed=found.classes.keys() != counted.classes.keys())

    _each(sql_programs(), against_every_interleaving, short, programs)
    _each(longer_sql_programs(), against_sleep_sets, longer, programs)
    how = (
        f"{short.programs} programs of 2 or 3 actors against all interleavings of each (at most {_INTERLEAVINGS_MAX}), and "
        f"{longer.programs} of 3 or 4 actors against the classes that sleep sets count; drawn by Hypothesis, the same each time"
    )
    yield Measurement(
        "random_programs_missed",
        short.missed + longer.missed,
        "programs",
        f"random SQL programs of which the exhaustive search missed a final state or a class: {how}",
        Goal("<=", 0),
    )
    yield Measurement(
        "random_programs_executions_per_class",
        (short.begun + longer.begun) / (short.classes + longer.classes),
        "executions per class",
        f"executions that it began for the {short.classes + longer.classes:,} classes of these programs",
    )


def _each(
    drawn: st.SearchStrategy[list[Program]],
    compare: Callable[[list[Program]], None],
    tally: Tally,
    programs: int,
) -> None:
    @settings(
        max_examples=_DRAWS * programs,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(drawn)
    def until_there_are_enough(each: list[Program]) -> None:
        if tally.programs < programs:
            compare(each)

    until_there_are_enough()
