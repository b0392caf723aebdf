"""What an exhaustive search may claim: what was covered, under which assumptions, and why it is not a proof when it is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from simulator.effects import Effects, conflict
from simulator.report.text import counted

if TYPE_CHECKING:
    from simulator.execution import Outcome, Simulation
    from simulator.reduction.search import Reduction

_ENGINES = {
    "none": "no database",
    "postgresql": "rows (in any order where nobody sorts them), predicates, row locks and keys of postgresql",
}
_ASSUMED = {
    "memory",
    "steps",
    "label",
    "commits",
}  # resources that are ours: a conflict over them shows nothing about the scenario


class Certificate:
    """Counts what the executions of an exhaustive search came to.

    Attributes:
        executions: how many were run, those included that led to nothing new.
        interleavings: how many classes were explored.
        swapped: how many pairs of steps said to be independent were swapped, without a difference.
        finished: whether no plan within the limits is left.
        faults_left: how many faults the first plan has that was left out; None when none was.
        atomic_sections: whether a critical section was one step, where it could be (`simulator.runtime.sections`).
    """

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._reduction: Reduction | None = None
        self._faults = 0
        self._plans = self._left = 0
        self._redundant = 0
        self._strayed = 0
        self._conflicted = False
        self._lanes: dict[str, None] = {}
        self._events = self._unsure = 0
        self._drew_chance = False
        self._asked_otherwise = False
        self.executions = 0
        self.interleavings = 0
        self.swapped = 0
        self.finished = False
        self.faults_left: int | None = None
        self.atomic_sections = False

    def anew(self) -> Certificate:
        """One for a search that starts over: what was explored does not count, and that it was executed does."""
        certificate = Certificate(self._simulation)
        certificate.executions = certificate._redundant = self.executions
        return certificate

    def begin(self, faults: int, reduction: Reduction, *, again: bool = False) -> None:
        """A plan is explored; ``again``: it was begun before."""
        self._faults = faults
        self._reduction = reduction
        self._plans += not again

    def as_data(self) -> dict[str, Any]:
        """What was counted so far."""
        reduction = self._reduction
        return {
            "executions": self.executions,
            "interleavings": self.interleavings,
            "swapped": self.swapped,
            "plans": self._plans,
            "redundant": self._redundant + (reduction.redundant if reduction is not None else 0),
            "strayed": self._strayed + (reduction.strayed if reduction is not None else 0),
            "conflicted": self._conflicted,
            "lanes": list(self._lanes),
            "events": self._events,
            "unsure": self._unsure,
            "drew_chance": self._drew_chance,
            "asked_otherwise": self._asked_otherwise or (reduction is not None and reduction.asked_otherwise),
        }

    def go_on_from(self, data: Mapping[str, Any]) -> None:
        """Counts on from what another search had counted."""
        self.executions, self.interleavings = data["executions"], data["interleavings"]
        self.swapped, self._plans = data["swapped"], data["plans"]
        self._redundant, self._strayed = data["redundant"], data["strayed"]
        self._conflicted, self._drew_chance = data["conflicted"], data["drew_chance"]
        self._lanes = dict.fromkeys(data["lanes"])
        self._events, self._unsure = data["events"], data["unsure"]
        self._asked_otherwise = data["asked_otherwise"]

    def add(self, counted: Mapping[str, Any], *, left: int) -> None:
        """Another process explored a plan to its end; so many plans are left that are known by now."""
        self._reduction, self._left = None, left
        self.executions += counted["executions"]
        self.interleavings += counted["interleavings"]
        self._plans += counted["plans"]
        self._redundant += counted["redundant"]
        self._strayed += counted["strayed"]
        self._events += counted["events"]
        self._unsure += counted["unsure"]
        self._conflicted |= counted["conflicted"]
        self._drew_chance |= counted["drew_chance"]
        self._asked_otherwise |= counted["asked_otherwise"]
        self._lanes.update(dict.fromkeys(counted["lanes"]))

    def note(self, outcome: Outcome | None) -> None:
        """An execution was run."""
        self.executions += 1
        self._drew_chance = self._drew_chance or self._simulation.drew_chance
        if outcome is None:
            return
        self.interleavings += 1
        assert self._reduction is not None
        effects = self._reduction.effects()
        self._events += len(effects)
        self._unsure += sum(each.unsure > 0 for _, each in effects)
        self._lanes.update(dict.fromkeys(lane for lane, _ in effects))
        if not self._conflicted:
            self._conflicted = _any_conflict(effects)

    def end(self) -> None:
        """The plan was explored to its end."""
        assert self._reduction is not None
        self._redundant += self._reduction.redundant
        self._strayed += self._reduction.strayed
        self._asked_otherwise = self._asked_otherwise or self._reduction.asked_otherwise
        self._reduction = None

    def inconclusive(self) -> str:
        """Why this is no proof, and what would settle it; empty when it is one."""
        simulation = self._simulation
        if not simulation.database.tells_effects:
            return (
                f"{simulation.database.name} does not tell what a step read and wrote, so nobody knows which orders "
                "matter; SQLite does: --database=sqlite"
            )
        if not self.finished:
            return f"not finished after {self.how_far()}; more of them would settle it: --executions"
        if self.interleavings == 0:
            return "no execution was complete"
        if not self._conflicted and self._plans == 1:
            return (
                "no two steps of different actors ever touched the same thing, so every order is the same and nothing "
                "was shown; let the scenario's actors meet"
            )
        if self._drew_chance:
            return (
                "something draws from the module random, whose one state all actors share without a point between them; "
                "os.urandom, secrets and uuid4 have a stream for each actor"
            )
        if self._asked_otherwise:
            return "which data and faults the scenario asks for depends on the schedule; ask for them before world.quiesce()"
        if self._strayed:
            return (
                f"{counted(self._strayed, 'execution')} did not go where the causes of an earlier one lead, so an effect "
                "was not seen; --check-determinism or --validate-footprints may tell which"
            )
        return ""

    def scope(self, inconclusive: str, *, failed: bool) -> str:
        """What was covered, for a line."""
        if failed:
            return "fewest faults first, up to the first violation"
        return "some interleavings" if inconclusive else "all interleavings up to equivalence"

    def so_far(self) -> tuple[str, ...]:
        """The whole of it, of a search that was broken off."""
        return (f"inconclusive: {self.inconclusive()}", *self.lines())

    def lines(self) -> tuple[str, ...]:
        """The whole of it, for a reader; nothing where nothing could be explored."""
        if not self._simulation.database.tells_effects:
            return ()
        bounds = self._simulation.bounds
        faults = "none injected, no data chosen"
        if self._plans > 1 or self.faults_left is not None:
            faults = f"{counted(self._plans, 'plan')} of data and faults, each with every interleaving"
        if self.faults_left is not None:
            faults += f"; none with {counted(self.faults_left, 'fault')} or more"
        unsure = f"; {self._unsure:,} of {self._events:,} steps over-approximated" if self._unsure else ""
        swapped = (
            f"; {self.swapped:,} independent pairs of steps swapped, no difference" if self.swapped else ""
        )
        again = f", {counted(self._redundant, 'execution')} led to nothing new" if self._redundant else ""
        return (
            f"interleavings: {self.interleavings:,} up to equivalence{again}",
            f"actors: {', '.join(self._lanes)}",
            f"faults: {faults}",
            f"bounds: {counted(bounds.early_timers_max, 'early timer')}, {bounds.steps_max:,} steps",
            f"independence: {self._independence()}{unsure}{swapped}",
        )

    def _independence(self) -> str:
        name = self._simulation.database.name
        engine = _ENGINES.get(name, f"rows, predicates and the write lock of {name}")
        if self.atomic_sections:
            engine += " (what is done under it is one step: nobody else could move in it and tell)"
        return (
            f"{engine}; remote services and points by name; every two steps of one process conflict; processes share "
            "nothing else"
        )

    def how_far(self) -> str:
        """How much was done, and about how much that is; the estimate takes all ways on from a state for equally long."""
        if self._reduction is None and self._plans:
            return (
                f"{counted(self.executions, 'execution')}, {self._plans} of {self._plans + self._left} plans"
            )
        share = self._reduction.share() if self._reduction is not None else 0.0
        faults = f" of the plans with {counted(self._faults, 'fault')}" if self._plans > 1 else ""
        return f"{counted(self.executions, 'execution')}, about {share:.0%} of plan {self._plans}{faults}"


def _any_conflict(effects: Sequence[tuple[str, Effects]]) -> bool:
    bare = [(lane, _without_assumptions(each)) for lane, each in effects]
    return any(
        one[0] != other[0] and conflict(one[1], other[1])
        for index, one in enumerate(bare)
        for other in bare[index + 1 :]
    )


def _without_assumptions(effects: Effects) -> Effects:
    return replace(
        effects, writes=frozenset(resource for resource in effects.writes if resource[0] not in _ASSUMED)
    )
