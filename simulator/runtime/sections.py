"""Critical sections without choices: a lane that holds the engine's one lock goes on until it gives it back.

Under the lock a lane's statements commute with all that others can do meanwhile. Nobody else writes; who reads is served
from a snapshot, which the section changes only when it commits; and taking the lock can be put off, giving it back brought
forward. So an execution in which others move within the section ends as the one in which they move before or after it, and
the section may as well be one step.

That holds only where nothing in the section can be met by others:

* all that its steps do is statements, from the one that takes the lock to the one that gives it back: nothing else that they did
  is recorded (a call, a lane that is started, a process that is killed), nobody else became able to move by them, and no
  time passed;
* the lane is the only one of its process, since lanes share memory;
* nobody wants the lock without being ready to wait for it: to be refused is something that only happens within a section.

The first two are looked after here, step by step, and from where they do not hold there are choices to the end of the section.
The third is looked after by who asked for sections without choices.

Source: Lipton, "Reduction: a method of proving properties of parallel programs", Communications of the ACM 18 (1975).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from simulator.effects import CHANGES, LOCK, VERSION, Effects

if TYPE_CHECKING:
    import trio

    from simulator.schedulers.base import Lane

SectionOf = Callable[[str], int]
"""The number of the section that a lane is in; 0: in none."""
_STATEMENTS = frozenset({"sql", "commit", "rollback"})
_OF_STATEMENTS = frozenset({LOCK, VERSION, CHANGES})


class Sections:
    """Follows the sections of one execution. It is to be told of everything that happens between two steps.

    Args:
        section_of: asks the engine.
        would_wait: whether all that a lane's next statement would come to is that it waits.
    """

    def __init__(self, section_of: SectionOf, would_wait: Callable[[str], bool]) -> None:
        self._section_of = section_of
        self._would_wait = would_wait
        self._left = 0  # the section in which there was a choice, so that there are choices to its end
        self._were_ready: Sequence[Lane] = ()

    def goes_on(
        self, last: Lane | None, ready: Sequence[Lane], did: Effects, *, alone: Callable[[Lane], bool]
    ) -> bool:
        """Whether the lane that moved last moves once more, and nobody is asked.

        Args:
            last: that lane.
            ready: who can move.
            did: what the last step did.
            alone: whether a lane is the only one of its process.
        """
        were_ready, self._were_ready = self._were_ready, tuple(ready)
        section = self._section_of(last.label) if last is not None else 0
        if last is None or section in (0, self._left):
            return False
        stands = last in ready and (last.point is None or last.kind in _STATEMENTS)
        woke_nobody = all(lane in were_ready for lane in ready if lane is not last)
        unseen = woke_nobody and _is_of_statements(did)
        if stands and unseen and alone(last) and not self._would_wait(last.label):
            return True
        self._left = section
        return False

    def time_passes(self, last: Lane | None) -> None:
        """Nobody could move."""
        self._left = (self._section_of(last.label) if last is not None else 0) or self._left


def _is_of_statements(did: Effects) -> bool:
    """Whether a step did nothing but what statements do."""
    return not did.everything and did.reads | did.writes | did.bumps <= _OF_STATEMENTS


def is_alone(lane: Lane, tasks: dict[Lane, trio.lowlevel.Task], to_come: Sequence[Lane]) -> bool:
    """Whether no other lane of a process is alive.

    Args:
        lane: the one.
        tasks: of all lanes that have moved; what has ended may still be there.
        to_come: lanes that have not.
    """
    others = (each for each, task in tasks.items() if getattr(task.coro, "cr_frame", None) is not None)
    return not any(
        other is not lane and other.alive and other.process == lane.process for other in (*others, *to_come)
    )
