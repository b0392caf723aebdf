"""Data and faults as they are given, the schedule as another scheduler has it: for a search among schedules only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from simulator.schedulers.base import Lane, Options, Scheduler


def as_given(choices: Mapping[str, int], options: Options) -> int:
    """What is given for a datum or a fault; the dullest for what is not, the nearest where there are fewer options."""
    return min(choices.get(options.name, 0), options.count - 1)


def as_given_without_faults(choices: Mapping[str, int], options: Options) -> int:
    """The same, and no fault."""
    return 0 if options.kind == "fault" else as_given(choices, options)


class Fixed:
    """A scheduler whose data and faults are given.

    Args:
        choices: by name; what is missing is 0.
        schedule: asked who moves.
        faults: whether those that are given strike.

    Attributes:
        plain: whether all data that were asked for are the plainest.
    """

    def __init__(self, choices: Mapping[str, int], schedule: Scheduler, *, faults: bool) -> None:
        self._choices = choices
        self._schedule = schedule
        self._given = as_given if faults else as_given_without_faults
        self.plain = True

    def start(self, lanes: Sequence[Lane]) -> None:
        """Passes on who is there."""
        self._schedule.start(lanes)

    def choose(self, options: Options) -> int:
        """Only who moves is a question."""
        if options.kind == "schedule":
            return self._schedule.choose(options)
        index = self._given(self._choices, options)
        self.plain = self.plain and (options.kind == "fault" or index == 0)
        return index
