"""What came of one execution."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulator.oracles import Failure
    from simulator.trace import Trace


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one execution.

    Attributes:
        failure: None when every claim held.
        trace: what happened.
        preemptions: how often a lane that could have gone on did not (timers that fired early included).
        faults: how many faults struck.
        reached: the names of the ``sometimes`` claims that were reached.
        steps_of: how many steps each process made.
        asked: how often the scheduler was asked who moves.
    """

    failure: Failure | None
    trace: Trace
    preemptions: int
    faults: int
    reached: frozenset[str]
    steps_of: dict[str, int]
    asked: int

    @property
    def cost(self) -> tuple[int, ...]:
        """Smaller is a shorter story: faults, plain data, preemptions, who takes part, steps, and how late switches are."""
        steps = self.trace.steps
        return (
            self.faults,
            sum(value for _, value in self.trace.choices),
            self.preemptions,
            len({lane for lane, _, _ in steps}),
            len(steps),
            sum(self.trace.switches),
        )

    def without_failure(self) -> Outcome:
        """The same execution, taken for one that held (a search for one failure passes by another)."""
        return replace(self, failure=None)
