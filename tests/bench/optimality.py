"""How many executions an exhaustive search begins for each class there is, and whether it misses any.

The classes are counted by something that knows nothing of how the search finds its way: every interleaving where they are
few, sleep sets where they are not. Where that takes too long as well, the search's own classes are told from each other,
and none of what random walks come upon may be missing among them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from scenarios.incidents.subscription_224.shops import REFERENCE, V2_4_10
from tests.bench.measure import FULL, Effort, Goal, Measurement
from tests.simulator.exhaustive.brute_force import Program, Small, all_of, of_programs, searched
from tests.simulator.exhaustive.classes import executed_at_random, executed_by_the_search
from tests.simulator.exhaustive.litmus import FOUR_AND_A_LOCK, LITMUS, OF_MORE
from tests.simulator.exhaustive.purchases import purchase
from tests.simulator.exhaustive.sleep_sets import executed_with_sleep_sets

_WALKS = 300
_AT_MOST = 3_000  # executions of a world that is not explored to its end


@dataclass(frozen=True, slots=True)
class Compared:
    """The search beside a count.

    Attributes:
        begun: executions of the search, those that were broken off included.
        classes: how many there are, as counted without the search where that is possible.
        missed: classes and final states that the search did not come to.
    """

    begun: int
    classes: int
    missed: int


def by_every_interleaving(make: Callable[[], Small]) -> Compared:
    """Counted by executing all there are."""
    found, every = searched(make()), all_of(make(), waiting_is_a_step=False)
    assert every is not None
    missed = len(every.classes.keys() - found.classes.keys()) + len(every.states.keys() - found.states.keys())
    return Compared(found.executions, len(every.classes), missed)


def by_sleep_sets(make: Callable[[], Small]) -> Compared:
    """Counted by a search that begins many executions and ends one in each class."""
    found, counted = executed_by_the_search(make()), executed_with_sleep_sets(make())
    missed = len(counted.classes.keys() - found.classes.keys()) + len(
        counted.states.keys() - found.states.keys()
    )
    return Compared(found.begun, len(counted.classes), missed)


def by_chance(make: Callable[[], Small]) -> Compared:
    """Not counted: the search's own classes, and which of those that random walks came upon it has not."""
    found = executed_by_the_search(make())
    walked = executed_at_random(make(), _WALKS, atomic_sections=found.atomic_sections)
    missed = len(walked.classes.keys() - found.classes.keys()) + len(
        walked.states.keys() - found.states.keys()
    )
    return Compared(found.begun, len(found.classes), missed)


def at_first(make: Callable[[], Small]) -> Compared:
    """Not counted: the classes of the first executions of the search."""
    found = executed_by_the_search(make(), at_most=_AT_MOST)
    return Compared(found.begun, len(found.classes), 0)


@dataclass(frozen=True, slots=True)
class Counted:
    """A world, and by what its classes are counted.

    Attributes:
        name: unique.
        make: the world.
        by: one of the above.
        quick: whether a quick run looks at it.
    """

    name: str
    make: Callable[[], Small]
    by: Callable[[Callable[[], Small]], Compared]
    quick: bool = False


def _programs(programs: Sequence[Program]) -> Callable[[], Small]:
    return partial(of_programs, *programs)


def _purchases() -> Iterator[Counted]:
    """The reference, and the shop as deployed in v2.4.10, with two, three and four of those who may notice a payment."""
    three, four = ("webhook", "polling", "sweep"), ("webhook", "polling", "sweep", "notices")
    for shop, paths, status, by in (
        (REFERENCE, ("webhook", "polling"), "pending", by_sleep_sets),
        (REFERENCE, ("webhook", "webhook again"), "pending", by_sleep_sets),
        (REFERENCE, three, "pending", by_sleep_sets),
        (REFERENCE, four, "paid", by_chance),
        (V2_4_10, ("webhook", "notices"), "paid", by_sleep_sets),
        (V2_4_10, ("webhook", "polling"), "pending", by_sleep_sets),
        (V2_4_10, ("webhook", "sweep", "notices"), "paid", by_sleep_sets),
        (V2_4_10, three, "paid", by_chance),
        (V2_4_10, four, "paid", at_first),
    ):
        quick = len(paths) == 2 and shop is REFERENCE and "polling" in paths
        name = f"{shop.name}, {status} payment: {' + '.join(paths)}"
        yield Counted(name, partial(purchase, shop, paths, status=status), by, quick)


WORLDS: Sequence[Counted] = (
    *(
        Counted(name, _programs(programs), by_every_interleaving, quick=True)
        for name, programs in LITMUS.items()
    ),
    *(
        Counted(name, _programs(programs), by_sleep_sets, "lost update" not in name)
        for name, programs in OF_MORE.items()
    ),
    Counted("four and a lock", _programs(FOUR_AND_A_LOCK), by_sleep_sets),
    *_purchases(),
)


def optimality(effort: Effort) -> Iterator[Measurement]:
    """The worst of the programs of the literature and of the purchase flow."""
    compared = {
        world.name: world.by(world.make) for world in WORLDS if world.quick or effort.seeds >= FULL.seeds
    }
    names = list(compared)
    ratios = {name: compared[name].begun / compared[name].classes for name in names}
    worst = max(names, key=lambda name: ratios[name])
    how = _how([world for world in WORLDS if world.name in compared])
    yield Measurement(
        "optimality_worst",
        ratios[worst],
        "executions per class",
        f"executions begun by the exhaustive search on SQLite over classes, the worst of {len(names)} worlds ({worst}: "
        f"{compared[worst].begun:,} for {compared[worst].classes:,}). {how}",
        Goal("<=", 1.0),
    )
    missed = sum(each.missed for each in compared.values())
    where = ", ".join(name for name in names if compared[name].missed)
    yield Measurement(
        "classes_missed",
        missed,
        "classes",
        f"classes and final states of the same worlds that the search did not come to{f' ({where})' if where else ''}; "
        f"there are {sum(each.classes for each in compared.values()):,} classes",
        Goal("<=", 0),
    )


def _how(worlds: Sequence[Counted]) -> str:
    """By what which worlds were counted."""
    said = {
        by_every_interleaving: "Every interleaving executed",
        by_sleep_sets: "Sleep sets",
        by_chance: f"Not counted, the search's own classes, {_WALKS} random walks to find others",
        at_first: f"Not counted, the classes of the first {_AT_MOST:,} executions",
    }
    parts = []
    for by, words in said.items():
        names = [world.name for world in worlds if world.by is by]
        if names:
            listed = f"{len(names)} programs" if by is by_every_interleaving else "; ".join(names)
            parts.append(f"{words}: {listed}")
    return ". ".join(parts)
