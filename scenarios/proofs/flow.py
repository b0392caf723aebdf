"""A flow of which something is to be known for every interleaving, and one claim about it: who takes part, with how many crashes.

Each path is a process of its own, since two lanes of one process conflict in every step and nobody sees its memory. No timer
fires early. What is left when the paths have come to their end is done an hour later by one worker, alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations
from typing import Any, Protocol, TypeVar

from sqlalchemy import MetaData

from reference.storage.schema import metadata
from simulator import Crash, World
from simulator.actors import Actor
from simulator.execution import Claims
from simulator.oracles import Claim

T = TypeVar("T")
_ONLY_LOOK = frozenset({"look-up", "find", "retrieve", "list"})
END = "end"  # the process of the worker that does what is left


class House(Protocol):
    """Where a flow's code runs: the shop, the box office, the desk, the landing page of `scenarios.flows`."""

    def runs(self, name: str, *actors: Actor) -> None:
        """A process, started anew after each death."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """A flow, its entry paths, and what must hold whichever of them meet.

    Args:
        name: unique.
        what: in a sentence, what is there when the paths set out.
        begin: makes the world as it is then.
        paths: by name, who may come.
        threes: which three of them come together, each set a proof of its own.
        end: who does what is left.
        always: claims, as queries: a function would be taken to look at everything after every commit.
        eventually: claims.
        guard: the ablation by which it is shown that the claims can fail; see `scenarios.ablations`.
        caught_by: the claim that fails then.
        caught_among: the paths that are enough for it.
    """

    name: str
    what: str
    begin: Callable[[World], House]
    paths: Mapping[str, Callable[[House], Actor]]
    threes: Sequence[tuple[str, str, str]]
    end: Callable[[], Actor]
    always: Sequence[Claim]
    eventually: Sequence[Claim]
    guard: str
    caught_by: str
    caught_among: tuple[str, ...]

    def __post_init__(self) -> None:
        named = (*chain.from_iterable(self.threes), *self.caught_among)
        unknown = [path for path in named if path not in self.paths]
        if unknown:
            raise ValueError(
                f"{self.name}: there is no path {', '.join(unknown)}; paths: {', '.join(self.paths)}"
            )

    @property
    def claims(self) -> Claims:
        """What must hold."""
        return Claims(always=tuple(self.always), eventually=tuple(self.eventually))

    def proofs(self) -> list[Proof]:
        """Each pair of paths with a crash at most, and three paths without."""
        pairs = [Proof(self, pair, 1) for pair in combinations(self.paths, 2)]
        return [*pairs, *(Proof(self, three, 0) for three in self.threes)]


def all_threes(paths: Iterable[str]) -> list[tuple[str, str, str]]:
    """Every set of three of these paths."""
    return list(combinations(paths, 3))


@dataclass(frozen=True, slots=True)
class Proof:
    """One claim: a flow holds in every interleaving of these paths.

    Attributes:
        flow: which.
        actors: its paths, a process each.
        faults_max: how many of these processes may be killed, at any of their steps.
    """

    flow: Flow
    actors: tuple[str, ...]
    faults_max: int

    @property
    def name(self) -> str:
        """Unique: ``purchase/webhook+polling``."""
        return f"{self.flow.name}/{'+'.join(self.actors)}"

    @property
    def schema(self) -> MetaData:
        """The reference's own."""
        return metadata

    async def scenario(self, world: World) -> None:
        """The story of which all interleavings are meant."""
        name_what_calls_touch(world)
        house = self.flow.begin(world)
        for path in self.actors:
            house.runs(path, self.flow.paths[path](house))
        house.runs(END, self.flow.end())
        if self.faults_max:
            world.inject(*map(Crash, self.actors))
        await world.quiesce()


def name_what_calls_touch(world: World) -> None:
    """The flows' ports call ``service verb ...`` and keep nothing that another service sees: so much is said of each call here."""
    call = world.call

    async def named(what: str, effect: Callable[[], T], **_given: Any) -> T:
        service, _, rest = what.partition(" ")
        looks = rest.partition(" ")[0] in _ONLY_LOOK
        return await call(what, effect, touches=service, changes=not looks)

    world.call = named  # type: ignore[method-assign]
