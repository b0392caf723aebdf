"""What a number of executions has seen of the interleavings that there are; nothing is collected unless it is asked for.

An *event* is the n-th time that a lane comes to a point. Two events of two lanes *conflict* when one writes what the other
touches (`simulator.coverage_events`: rows, locks and calls where effects are recorded, else whole tables). Three questions
are answered:

* Which conflicting pairs were seen in both orders, and which in one only? One order only may be all that there is (a
  webhook never comes before the charge that it tells of) or a gap in the search: nobody can tell from outside, so they
  are listed.
* Which faults struck before which points, and which ``sometimes`` claims were reached?
* How much is still to come? Two executions are of one *class* when all conflicting events come in the same order. Of
  ``n`` executions let ``f`` be of a class that was seen once: then the next execution is of a new class with a likelihood
  of about ``f / n`` (Good 1953). This is about the executions that the same search would make, not about all that exist.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.coverage_events import Account, Announced, Event, Told
from simulator.errors import ScheduleError
from simulator.report.text import counted
from simulator.schedule import FAULT
from simulator.schedulers.base import Execute, Lane, Options, Scheduler
from simulator.schedulers.contention import Contention

if TYPE_CHECKING:
    from simulator.execution import Outcome

FORMAT = "turnstile coverage 1"
_PAIRS_MAX = 50_000  # a scenario of 60 steps has some hundreds
_CLASSES_MAX = 100_000  # after that, classes that are new are counted and not kept: memory stays flat


@dataclass(frozen=True, slots=True)
class Seen:
    """The sizes of what was seen.

    Attributes:
        executions: how many were looked at.
        pairs: conflicting pairs of events.
        both: how many of those were seen in both orders.
        classes: of executions.
        once: how many classes were seen once.
        faults: pairs of a fault and a point before which it struck.
    """

    executions: int
    pairs: int
    both: int
    classes: int
    once: int
    faults: int

    @property
    def unseen(self) -> float:
        """The likelihood that the next execution is of a class that was not seen; 1 before the first."""
        return self.once / self.executions if self.executions else 1.0


class Coverage:
    """Collects, execution by execution.

    Attributes:
        contention: what points touch; whoever schedules may learn from it and add to it.
    """

    def __init__(self, contention: Contention | None = None) -> None:
        self.contention = contention or Contention()
        self._announced: Account = Announced(self.contention)
        self._told: Account = Told()
        self._executions = 0
        self._events: dict[Event, None] = {}
        self._open: dict[tuple[Event, Event], int] = {}  # 1: seen in this order, 2: in the other
        self._both: dict[tuple[Event, Event], None] = {}
        self._classes: Counter[int] = Counter()
        self._beyond = 0
        self._faults: dict[tuple[str, str], int] = {}
        self._sometimes: dict[str, int] = {}

    def on(self, execute: Execute) -> Execute:
        """Looks at every execution that somebody makes, and takes it into account."""
        learning = self.learning(execute)

        def watched(scheduler: Scheduler) -> Outcome:
            outcome = learning(scheduler)
            self.add(outcome)
            return outcome

        return watched

    def learning(self, execute: Execute) -> Execute:
        """Looks at every execution that somebody makes; whoever calls it takes it into account."""
        return lambda scheduler: execute(_Learning(scheduler, self.contention))

    def add(self, outcome: Outcome) -> int:
        """Takes an execution into account; returns how much of it had not been seen: orders, faults, claims, a class."""
        self._executions += 1
        steps = [(lane, point) for lane, point, _ in outcome.trace.steps]
        new = self._add_faults(steps) + self._add_sometimes(outcome)
        account = self._told if outcome.trace.recording else self._announced
        at = account.places(outcome.trace)
        self._add_events(at, account)
        return new + self._add_orders(at) + self._add_class(account.order(outcome.trace))

    @property
    def seen(self) -> Seen:
        """How much it is."""
        pairs = len(self._open) + len(self._both)
        once = self._beyond + sum(1 for count in self._classes.values() if count == 1)
        classes = len(self._classes) + self._beyond
        return Seen(self._executions, pairs, len(self._both), classes, once, len(self._faults))

    def words(self) -> str:
        """In one line."""
        seen = self.seen
        parts = [f"{seen.both:,} of {counted(seen.pairs, 'conflicting pair')} in both orders"]
        if seen.faults:
            parts.append(f"faults before {counted(len({point for _, point in self._faults}), 'point')}")
        parts.append(f"{counted(seen.classes, 'order')} of conflicts")
        if seen.executions > 1:
            parts.append(f"the next is new with a likelihood of about {_percent(seen.unseen)}")
        return ", ".join(parts)

    def save(self, path: Path, *, test: str = "") -> None:
        """Writes it as JSON.

        Raises:
            ScheduleError: the place cannot be written to.
        """
        text = json.dumps({"test": test, **self.as_data()}, indent=1, ensure_ascii=False)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text}\n", encoding="utf-8", newline="\n")
        except OSError as error:
            raise ScheduleError(
                f"what was seen cannot be saved as {path}: {error.strerror or error}"
            ) from error

    def as_data(self) -> dict[str, Any]:
        """All of it, to be saved beside the schedules; in the order in which it was seen."""
        seen = self.seen
        return {
            "format": FORMAT,
            "executions": seen.executions,
            "classes": seen.classes,
            "classes_seen_once": seen.once,
            "unseen": round(seen.unseen, 6),
            "both_orders": [[_named(one), _named(other)] for one, other in self._both],
            "one_order": [
                [_named(one), _named(other)] if order == 1 else [_named(other), _named(one)]
                for (one, other), order in self._open.items()
            ],
            "faults": [
                {"fault": fault, "before": point, "executions": count}
                for (fault, point), count in self._faults.items()
            ],
            "sometimes": self._sometimes,
        }

    # Events ------------------------------------------------------------------------------------------------

    def _add_events(self, at: dict[Event, int], account: Account) -> None:
        for event in at:
            if event in self._events:
                continue
            for other in self._events:
                if len(self._open) + len(self._both) >= _PAIRS_MAX:
                    return
                if other[0] != event[0] and account.conflict(event, other):
                    self._open[other, event] = 0
            self._events[event] = None

    def _add_orders(self, at: dict[Event, int]) -> int:
        new, done = 0, []
        for pair, known in self._open.items():
            first, second = at.get(pair[0]), at.get(pair[1])
            if first is None or second is None:
                continue
            order = 1 if first < second else 2
            if known != order:
                new += 1
                if known:
                    done.append(pair)
                else:
                    self._open[pair] = order
        for pair in done:
            del self._open[pair]
            self._both[pair] = None
        return new

    def _add_class(self, order: str) -> int:
        digest = int.from_bytes(hashlib.blake2b(order.encode(), digest_size=8).digest(), "big")
        known = self._classes.get(digest, 0)
        if not known and len(self._classes) >= _CLASSES_MAX:
            self._beyond += 1
        else:
            self._classes[digest] = known + 1
        return not known

    def _add_faults(self, steps: Sequence[tuple[str, str]]) -> int:
        new = 0
        for lane, what in steps:
            if lane == FAULT:
                fault, _, point = what.partition(" before ")
                new += (fault, point) not in self._faults
                self._faults[fault, point] = self._faults.get((fault, point), 0) + 1
        return new

    def _add_sometimes(self, outcome: Outcome) -> int:
        new = 0
        for name in sorted(outcome.reached):
            new += name not in self._sometimes
            self._sometimes[name] = self._sometimes.get(name, 0) + 1
        return new


class _Learning:
    """Looks over a scheduler's shoulder: only there can one see what a point is about to touch."""

    def __init__(self, scheduler: Scheduler, contention: Contention) -> None:
        self._scheduler = scheduler
        self._contention = contention

    def start(self, lanes: Sequence[Lane]) -> None:
        """Passes on who is there."""
        self._scheduler.start(lanes)

    def choose(self, options: Options) -> int:
        """Passes on what is asked."""
        if options.kind == "schedule":
            self._contention.learn(options.lanes)
        return self._scheduler.choose(options)


def _named(event: Event) -> str:
    lane, point, time = event
    return f"{lane}: {point}" + (f" ({time})" if time > 1 else "")


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if 0 < share < 0.1 else f"{100 * share:.0f} %"
