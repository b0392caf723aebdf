"""Who picks: a scheduler answers one question, ``choose(options) -> index``, and sees data that it cannot run."""

from __future__ import annotations

from collections.abc import Callable

from simulator.errors import UnknownScheduler
from simulator.schedulers.base import Search
from simulator.schedulers.bounded import BoundedSearch
from simulator.schedulers.drawn import DrawnSearch
from simulator.schedulers.seeded import SeededSearch

# Each takes the number of schedule choices that the probe made.
_SEARCHES: dict[str, Callable[[int], Search]] = {
    "drawn": DrawnSearch,
    "seeded": lambda _length: SeededSearch(),
    "bounded": lambda _length: BoundedSearch(),
}
NAMES = tuple(_SEARCHES)
_SAMPLERS = frozenset({"drawn", "seeded"})


def search_named(name: str, *, length: int) -> Search:
    """The search that a name stands for.

    Args:
        name: one of ``NAMES``.
        length: how many schedule choices the probe execution made.

    Raises:
        UnknownScheduler: there is none of that name.
    """
    make = _SEARCHES.get(name)
    if make is None:
        raise UnknownScheduler(f"there is no scheduler {name!r}; there are: {', '.join(NAMES)}")
    return make(length)


def is_sampler(name: str) -> bool:
    """Whether a search tries some schedules; else it looks at every one, as far as it gets."""
    return name in _SAMPLERS
