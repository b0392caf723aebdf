"""The record of one execution. Light while searching (who moved, where, when); detailed when a failure is replayed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

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
    """

    detailed: bool = False
    steps: list[tuple[str, str, float]] = field(default_factory=list)
    choices: list[tuple[str, int]] = field(default_factory=list)
    accesses: dict[int, list[Access]] = field(default_factory=dict)
    notes: dict[int, list[str]] = field(default_factory=dict)
    processes: dict[str, str] = field(default_factory=dict)
    switches: list[int] = field(default_factory=list)
    violated_at: int | None = None

    def record(self, access: Access) -> None:
        """Adds what a door did to the step that is being made; what a scenario does before anybody moves is in none."""
        if self.steps:
            self.accesses.setdefault(len(self.steps) - 1, []).append(access)

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


def first_difference(one: Trace, other: Trace) -> str:
    """Where two executions of one schedule part, in words, with the likely leak; empty when they are the same.

    What doors did is compared only where both are detailed.
    """
    if one.choices != other.choices:
        return f"the scenario asked for other data: {one.choices} and then {other.choices}"
    for index, (first, second) in enumerate(zip(one.steps, other.steps, strict=False)):
        if first != second:
            return (
                f"step {index + 1} was '{first[0]}: {first[1]}' at +{first[2]:.3f} s and then '{second[0]}: "
                f"{second[1]}' at +{second[2]:.3f} s; likely leaks: the order of a set, id() or repr() in a decision, "
                "state of an earlier execution in a module or a cache"
            )
        if one.detailed and other.detailed and (parted := _accesses_differ(one, other, index)):
            return f"step {index + 1} ({first[0]}: {first[1]}): {parted}"
    if len(one.steps) != len(other.steps):
        return f"one execution has {len(one.steps)} steps, the other {len(other.steps)}"
    return ""


def _accesses_differ(one: Trace, other: Trace, index: int) -> str:
    for first, second in zip(one.accesses.get(index, ()), other.accesses.get(index, ()), strict=False):
        for what in ("sql", "parameters", "outcome", "changed"):
            was, now = getattr(first, what), getattr(second, what)
            if was != now:
                leak = (
                    "chance or a clock that is not the world's"
                    if what == "parameters"
                    else "state that was not reset"
                )
                return f"its {what} was {was!r} and then {now!r}; likely leak: {leak}"
    return ""
