"""Who picks: a scheduler answers one question, ``choose(options) -> index``, and sees data that it cannot run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from simulator.errors import UnknownScheduler
from simulator.schedulers.base import Search
from simulator.schedulers.bounded import BoundedSearch
from simulator.schedulers.drawn import DrawnSearch
from simulator.schedulers.exhaustive import ExhaustiveSearch
from simulator.schedulers.pct import PctSampler
from simulator.schedulers.portfolio import PortfolioSearch
from simulator.schedulers.pos import PosSampler
from simulator.schedulers.sampling import SamplingSearch
from simulator.schedulers.seeded import SeededSearch
from simulator.schedulers.surw import SurwSampler

if TYPE_CHECKING:
    from simulator.execution import Simulation

# Each takes the number of schedule choices that the probe made.
_SEARCHES: dict[str, Callable[[int], Search]] = {
    "drawn": DrawnSearch,
    "seeded": lambda _length: SeededSearch(),
    "pct": lambda length: SamplingSearch(PctSampler(length)),
    "surw": lambda _length: SamplingSearch(SurwSampler()),
    "pos": lambda _length: SamplingSearch(PosSampler()),
    "portfolio": PortfolioSearch,
    "bounded": lambda _length: BoundedSearch(),
}
EXHAUSTIVE = ExhaustiveSearch.name
NAMES = (*_SEARCHES, EXHAUSTIVE)
_SAMPLERS = frozenset({"drawn", "seeded", "pct", "surw", "pos", "portfolio"})


def search_named(name: str, *, length: int, simulation: Simulation | None = None) -> Search:
    """The search that a name stands for.

    Args:
        name: one of ``NAMES``.
        length: how many schedule choices the probe execution made.
        simulation: whose executions it runs; only one that looks at steps' effects needs it.

    Raises:
        UnknownScheduler: there is none of that name.
    """
    if name == EXHAUSTIVE:
        return ExhaustiveSearch(simulation)
    make = _SEARCHES.get(name)
    if make is None:
        raise UnknownScheduler(f"there is no scheduler {name!r}; there are: {', '.join(NAMES)}")
    return make(length)


def is_sampler(name: str) -> bool:
    """Whether a search tries some schedules; else it looks at every one, as far as it gets."""
    return name in _SAMPLERS
