"""What a benchmark is, and how sides of a ratio are timed: in interleaved rounds, by the median.

The machine is shared and drifts by tens of percent within a minute. A ratio is therefore taken within each round, where
drift hits both of its sides, and the median round is reported. What one core does is counted in the processor's time of
this process, which other processes leave alone; where waiting is part of the cost (a thread's wake-up), real time is.
Nothing here knows what is measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Literal, TypeVar

from simulator.clock import RealTime

T = TypeVar("T")


class _Processor:
    """Held by a class, because freezegun freezes what modules hold while a simulation is open."""

    seconds = staticmethod(time.process_time)


def processor_s() -> float:
    """Seconds that this process has used of a core."""
    return _Processor.seconds()


def real_s() -> float:
    """Real time, in seconds."""
    return RealTime.perf_counter()


@dataclass(frozen=True, slots=True)
class Goal:
    """What a value should be.

    Attributes:
        sense: whether the value should be at least or at most the number.
        number: in the value's own unit.
    """

    sense: Literal[">=", "<="]
    number: float

    def is_met(self, value: float) -> bool:
        """Whether a value is good enough."""
        return value >= self.number if self.sense == ">=" else value <= self.number

    def __str__(self) -> str:
        return f"{self.sense} {self.number:g}"


@dataclass(frozen=True, slots=True)
class Measurement:
    """One line of the table.

    Attributes:
        name: unique, for a machine.
        value: the median.
        unit: of the value.
        how: what was measured, in a sentence.
        goal: what it should be; None where it is only good to know.
    """

    name: str
    value: float
    unit: str
    how: str
    goal: Goal | None = None

    def as_json(self) -> dict[str, object]:
        """As an item of bench.json."""
        return {
            "name": self.name,
            "value": round(self.value, 4),
            "unit": self.unit,
            "goal": None if self.goal is None else str(self.goal),
            "meets": None if self.goal is None else self.goal.is_met(self.value),
            "how": self.how,
        }


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to look.

    Attributes:
        rounds: how many, of which the median is reported.
        round_s: how long each side is timed in a round, in seconds.
        seeds: over how many seeds a search is repeated.
    """

    rounds: int
    round_s: float
    seeds: int


FULL = Effort(rounds=21, round_s=0.25, seeds=20)
QUICK = Effort(rounds=1, round_s=0.02, seeds=1)

Benchmark = Callable[[Effort], Iterator[Measurement]]
"""Yields what it measured, as soon as it is known: an interrupt keeps what was yielded."""


@dataclass(frozen=True, slots=True)
class Seconds:
    """What one execution took: real seconds, and seconds of a core."""

    real: float
    processor: float


def in_rounds(effort: Effort, sides: Mapping[str, Callable[[float], T]]) -> dict[str, list[T]]:
    """Times each side once per round; every other round in reverse order.

    Args:
        effort: how many rounds, and how long each side is timed in one.
        sides: for each, a function that runs for about so many real seconds and returns what it measured.

    Returns:
        For each side what it measured, one value per round.
    """
    rounds: dict[str, list[T]] = {name: [] for name in sides}
    for number in range(effort.rounds):
        for name in list(sides)[:: -1 if number % 2 else 1]:
            rounds[name].append(sides[name](effort.round_s))
    return rounds


def median_ratio(above: Iterable[float], below: Iterable[float]) -> float:
    """The median of what the ratio was in each round."""
    return median(one / other for one, other in zip(above, below, strict=True))


class Stopwatch:
    """Times calls in batches until enough time has passed, in both kinds of seconds.

    Args:
        for_s: real seconds, about.
    """

    def __init__(self, for_s: float) -> None:
        self._until = real_s() + for_s
        self._began = (real_s(), processor_s())
        self._calls = 0

    def goes_on(self, calls: int) -> bool:
        """Counts the calls that were made; whether another batch is to follow."""
        self._calls += calls
        return not self._calls or real_s() < self._until

    def each(self) -> Seconds:
        """What one call took."""
        real, processor = self._began
        return Seconds((real_s() - real) / self._calls, (processor_s() - processor) / self._calls)


def seconds_each(run: Callable[[], object], for_s: float, *, batch: int = 20) -> Seconds:
    """Calls a function for about so many seconds; returns what one call took, on average."""
    watch = Stopwatch(for_s)
    calls = 0
    while watch.goes_on(calls):
        calls = batch
        for _ in range(batch):
            run()
    return watch.each()
