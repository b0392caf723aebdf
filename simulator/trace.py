"""The record of one execution. Light while searching (who moved, where, when); detailed when a failure is replayed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from simulator.effects import NOTHING, Collected, Effects
from simulator.schedule import Schedule, Step

if TYPE_CHECKING:
    from simulator.runtime.callsite import CallSite


@dataclass(frozen=True, slots=True)
class Access:
    """What one statement did, as the report shows it.

    Attributes:
        sql: the statement.
        parameters: as text.
        outcome: in words: the rows that came back, the number of rows that changed, the error.
        changed: the rows that it changed, before and after, a line each.
        reads: tables read.
        writes: tables written (they become visible to others at commit).
        site: the line of the code under test.
        transaction: a number that the statements of one transaction share; 0 outside of one.
        ends: ``commit``, ``rollback`` or nothing.
    """

    sql: str
    parameters: str = ""
    outcome: str = ""
    changed: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    site: CallSite | None = None
    transaction: int = 0
    ends: str = ""


@dataclass(slots=True)
class Trace:
    """Who moved, in order. It changes while an execution runs and is left alone after that.

    Attributes:
        steps: (lane, point, loop time in seconds) of each step.
        choices: data and fault moments, by name.
        detailed: whether doors should record what they did.
        accesses: what the door did in a step, by the step's index; only when detailed.
        notes: what a scenario, a stand-in or an actor had to say in a step.
        switches: the indices of the steps that were preemptions.
        violated_at: the number of steps after which a claim was found violated.
        recording: whether doors should say what each step read and wrote (`simulator.effects`).
        every_checkpoint: whether all that could move took part in every choice (`Conductor.every_checkpoint`).
        within: steps that belong to the one before them, the indices (`simulator.runtime.sections`).
    """

    detailed: bool = False
    steps: list[tuple[str, str, float]] = field(default_factory=list)
    choices: list[tuple[str, int]] = field(default_factory=list)
    accesses: dict[int, list[Access]] = field(default_factory=dict)
    notes: dict[int, list[str]] = field(default_factory=dict)
    processes: dict[str, str] = field(default_factory=dict)
    switches: list[int] = field(default_factory=list)
    violated_at: int | None = None
    recording: bool = False
    every_checkpoint: bool = False
    within: set[int] = field(default_factory=set)
    _collected: dict[int, Collected] = field(default_factory=dict)
    _effects: dict[int, Effects] = field(default_factory=dict)  # of steps to which nothing was added since

    def record(self, access: Access) -> None:
        """Adds what a door did to the step that is being made; what a scenario does before anybody moves is in none."""
        if self.steps:
            self.accesses.setdefault(len(self.steps) - 1, []).append(access)

    def collect(self, step: int | None = None) -> Collected:
        """Where a door adds what the current step, or an earlier one, read and wrote; asked only when ``recording``.

        What a scenario does before anybody moves belongs to no step and is thrown away.
        """
        if step is None:
            step = len(self.steps) - 1
        if step < 0:
            return Collected()
        self._effects.pop(step, None)
        collected = self._collected.get(step)
        if collected is None:
            collected = self._collected[step] = Collected()
        return collected

    def effects_of(self, step: int) -> Effects:
        """What a step read and wrote, as far as it is known by now."""
        effects = self._effects.get(step)
        if effects is None:
            collected = self._collected.get(step)
            effects = self._effects[step] = NOTHING if collected is None else collected.done()
        return effects

    def note(self, text: str) -> None:
        """Adds a remark to the step that is being made."""
        if self.detailed and self.steps:
            self.notes.setdefault(len(self.steps) - 1, []).append(text)

    def schedule(self, *, test: str = "", database: str = "", violates: str = "") -> Schedule:
        """Everything that was decided, in the form that is saved."""
        return Schedule(
            tuple(self.choices),
            tuple(Step(lane, point) for lane, point, _ in self.steps),
            test,
            database,
            violates,
            "all" if self.every_checkpoint else "",
        )

    def digest(self) -> str:
        """SHA-256 over everything recorded: choices, steps, times, and what doors did when the trace is detailed."""
        lines = [f"{name}={value}" for name, value in self.choices]
        for index, (lane, point, now_s) in enumerate(self.steps):
            lines.append(f"{now_s:.9f} {lane}: {point}")
            lines += [
                f"  {access.sql} {access.parameters} {access.outcome} {access.changed}"
                for access in self.accesses.get(index, ())
            ]
            lines += [f"  # {note}" for note in self.notes.get(index, ())]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()
