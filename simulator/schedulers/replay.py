"""Follows a schedule that was recorded: a saved file to the letter, saying where it drifts; a shrinker's wish leniently."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from simulator.schedule import FAULT, Schedule, Step
from simulator.schedulers.base import Lane, Options
from simulator.schedulers.fixed import as_given

if TYPE_CHECKING:
    from simulator.trace import Trace


class Replay:
    """Makes the choices that a saved schedule names.

    Where the code has changed since, names are what it goes by, not numbers: a step that is new is let happen, one that
    is gone is passed over, and both leave the rest of the schedule where it was. Where the lane that is named cannot
    move, the next one in the schedule that can is let move, and the other has its turn as soon as it can.

    Args:
        schedule: what was saved.
        trace: gives the record of this execution: steps that were no choice are in it as well.

    Attributes:
        drift: the first difference, in words; empty while there is none.
    """

    def __init__(self, schedule: Schedule, trace: Callable[[], Trace]) -> None:
        self._choices = dict(schedule.choices)
        self._steps = schedule.steps
        self._trace = trace
        self._seen = 0
        self._at = 0
        self._early: Counter[Step] = Counter()  # what happened before its turn
        self.drift = ""

    def start(self, lanes: Sequence[Lane]) -> None:
        """The schedule is the plan."""

    def choose(self, options: Options) -> int:
        """What the schedule says."""
        if options.kind != "schedule":
            return self._datum(options)
        self._catch_up()
        self._pass_over_what_was_early()
        able = {lane.label: index for index, lane in enumerate(options.lanes)}
        self._pass_over_what_is_gone({lane.label: lane for lane in options.lanes})
        for wish in self._steps[self._at :]:
            if wish.chosen in able and not self._early[wish]:
                return able[wish.chosen]
            self._drifts(f"the schedule says '{wish}', possible here: {_named(options.lanes)}")
        self._drifts(f"the schedule says that nobody moves any more, possible here: {_named(options.lanes)}")
        return 0

    def end(self) -> str:
        """After the execution: the first difference between what was saved and what happened; empty if none."""
        self._catch_up()
        self._pass_over_what_was_early()
        if self._at < len(self._steps):
            self._drifts(f"the schedule says '{self._steps[self._at]}', the execution had ended")
        known = dict(self._trace().choices)
        for name, value in self._choices.items():
            if name not in known:
                self.drift = (
                    self.drift or f"the schedule chooses {name!r}, which the scenario does not ask for"
                )
            elif known[name] != value:
                self.drift = (
                    self.drift or f"the schedule chooses {name!r} = {value}, the scenario has {known[name]}"
                )
        return self.drift

    def _catch_up(self) -> None:
        happened = self._trace().steps
        while self._seen < len(happened):
            lane, point, _ = happened[self._seen]
            self._match(Step(lane, point))
            self._seen += 1

    def _match(self, step: Step) -> None:
        self._pass_over_what_was_early()
        if self._at < len(self._steps) and self._steps[self._at] == step:
            self._at += 1
            return
        wanted = f"'{self._steps[self._at]}'" if self._at < len(self._steps) else "that nobody moves any more"
        self._drifts(f"the schedule says {wanted}, the code did '{step}'")
        run = self._steps[self._at : self._end_of_run()]
        if step in run:
            self._at += run.index(step) + 1  # what stood before it is gone
        elif run and FAULT in (run[0].lane, step.lane):
            self._at += run[0].lane == FAULT  # it strikes elsewhere now, or not at all
        elif step in self._steps[self._at :]:
            self._early[step] += 1

    def _end_of_run(self) -> int:
        """Where another lane than that of the step whose turn it is has its turn."""
        end = self._at
        while end < len(self._steps) and self._steps[end].chosen == self._steps[self._at].chosen:
            end += 1
        return end

    def _pass_over_what_was_early(self) -> None:
        while self._at < len(self._steps) and self._early[self._steps[self._at]] > 0:
            self._early[self._steps[self._at]] -= 1
            self._at += 1

    def _pass_over_what_is_gone(self, able: Mapping[str, Lane]) -> None:
        """A lane that stands already where the schedule has it after somebody else's turn has no step left in this one."""
        while self._at < len(self._steps):
            wish, end = self._steps[self._at], self._end_of_run()
            lane = able.get(wish.chosen)
            if lane is None or lane.point is None or wish.lane == FAULT:
                return
            step = Step(lane.label, lane.point)
            if step in self._steps[self._at : end] or step not in self._steps[end:]:
                return
            self._drifts(f"the schedule says '{wish}', the code goes on with '{step}'")
            self._at = end

    def _datum(self, options: Options) -> int:
        value = self._choices.get(options.name)
        if value is None:
            self.drift = (
                self.drift or f"the scenario asks for {options.name!r}, which the schedule does not choose"
            )
        elif value >= options.count:
            self.drift = self.drift or (
                f"the schedule chooses {options.name!r} = {value}; the scenario has only {options.count} options"
            )
        return as_given(self._choices, options)

    def _drifts(self, how: str) -> None:
        self.drift = self.drift or f"step {self._seen + 1}: {how}"


def _named(lanes: Sequence[Lane]) -> str:
    return ", ".join(f"'{lane.label}: {lane.point or 'goes on'}'" for lane in lanes)


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

    def start(self, lanes: Sequence[Lane]) -> None:
        """The wish is the plan."""

    def choose(self, options: Options) -> int:
        """The lane of the current run, if it can move."""
        if options.kind != "schedule":
            return as_given(self._choices, options)
        self._account(options.step)
        labels = [lane.label for lane in options.lanes]
        while self._at < len(self._runs):
            if self._left > 0 and self._runs[self._at][0] in labels:
                return labels.index(self._runs[self._at][0])
            self._next_run()
        return 0

    def _account(self, step: int) -> None:
        """Steps that were no choice belong to the run as well: they were made by the only lane that could move."""
        self._left -= step - self._before
        self._before = step

    def _next_run(self) -> None:
        self._at += 1
        self._left = self._runs[self._at][1] if self._at < len(self._runs) else 0
