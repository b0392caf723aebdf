"""Follows a schedule that was recorded: a saved file to the letter, saying where it drifts; a shrinker's wish leniently."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from simulator.schedule import Schedule, Step
from simulator.schedulers.base import Lane, Options


class Replay:
    """Makes the choices that a saved schedule names.

    Where the execution is not where the schedule says (the code changed), it goes on with the lane that was named if
    that can move, else with option 0.

    Attributes:
        drift: the first difference, in words; empty while there is none.
    """

    def __init__(self, schedule: Schedule) -> None:
        self._choices = dict(schedule.choices)
        self._steps = schedule.steps
        self._asked: list[str] = []
        self.drift = ""

    def start(self, lanes: Sequence[Lane]) -> None:
        """The schedule is the plan."""

    def choose(self, options: Options) -> int:
        """What the schedule says."""
        if options.kind != "schedule":
            return self._datum(options)
        if options.step >= len(self._steps):
            self._drifted(options.step, None, f"{len(options.lanes)} lanes can still move")
            return 0
        wish = self._steps[options.step]
        for index, lane in enumerate(options.lanes):
            if lane.label == wish.chosen:
                return index
        self._drifted(options.step, wish, ", ".join(f"{lane.label}: {lane.point}" for lane in options.lanes))
        return 0

    def compare(self, steps: Sequence[tuple[str, str, float]]) -> str:
        """After the execution: the first difference between what was saved and what happened; empty if none."""
        for number, (wish, (lane, point, _)) in enumerate(zip(self._steps, steps, strict=False)):
            if (wish.lane, wish.point) != (lane, point):
                return f"step {number + 1}: the schedule says '{wish}', the code did '{lane}: {point}'"
        if len(self._steps) != len(steps) and not self.drift:
            return f"the schedule has {len(self._steps)} steps, the execution {len(steps)}"
        unknown = [name for name in self._choices if name not in self._asked]
        if unknown:
            return f"the schedule chooses {unknown[0]!r}, which the scenario does not ask for"
        return self.drift

    def _datum(self, options: Options) -> int:
        self._asked.append(options.name)
        if options.name not in self._choices:
            self.drift = self.drift or f"the scenario asks for {options.name!r}, which the schedule does not choose"
            return 0
        value = self._choices[options.name]
        if value >= options.count:
            self.drift = self.drift or (
                f"the schedule chooses {options.name!r} = {value}; the scenario has only {options.count} options"
            )
            return 0
        return value

    def _drifted(self, step: int, wish: Step | None, there: str) -> None:
        wanted = f"'{wish}'" if wish is not None else "the end"
        self.drift = self.drift or f"step {step + 1}: the schedule says {wanted}, possible here: {there}"


class Wish:
    """A shrinker's proposal: runs of lanes, to be followed as far as they can be.

    Args:
        choices: data and fault moments by name; what is missing is 0.
        runs: (lane, number of its steps); a run of a lane that cannot move is skipped, and one that is interrupted
            ends there. After the last one, the current lane goes on as long as it can.
    """

    def __init__(self, choices: Mapping[str, int], runs: Sequence[tuple[str, int]]) -> None:
        self._choices = choices
        self._runs = list(runs)
        self._at = 0
        self._left = runs[0][1] if runs else 0
        self._before = 0
        self._moved: str | None = None

    def start(self, lanes: Sequence[Lane]) -> None:
        """The wish is the plan."""

    def choose(self, options: Options) -> int:
        """The lane of the current run, if it can move."""
        if options.kind != "schedule":
            return min(self._choices.get(options.name, 0), options.count - 1)
        self._account(options.step)
        labels = [lane.label for lane in options.lanes]
        while self._at < len(self._runs):
            if self._left > 0 and self._runs[self._at][0] in labels:
                self._moved = self._runs[self._at][0]
                return labels.index(self._moved)
            self._next_run()
        return 0

    def _account(self, step: int) -> None:
        """Steps that were no choice belong to the run as well: they were made by the only lane that could move."""
        self._left -= step - self._before
        self._before = step

    def _next_run(self) -> None:
        self._at += 1
        self._left = self._runs[self._at][1] if self._at < len(self._runs) else 0
