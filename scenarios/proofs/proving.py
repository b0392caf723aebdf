"""Runs a proof, or its sibling without a guard, and says what came of it; several proofs at a time in as many processes."""

from __future__ import annotations

import json
import logging
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from reference.storage.schema import metadata
from scenarios.ablations import registry as ablations
from scenarios.ablations.tables import without_keys
from scenarios.proofs.flow import Flow, Proof
from scenarios.proofs.registry import named
from simulator import Exploration, Limits, explore
from simulator.database.sqlite import SqliteDatabase
from simulator.execution import Bounds

EXECUTIONS_MAX = 1_000_000
LAST_RUN = Path(__file__).with_name("proved.json")
"""What the last complete run found; the page is made from it."""
BOUNDS = Bounds(early_timers_max=0)


@dataclass(frozen=True, slots=True)
class Proved:
    """What came of a proof.

    Attributes:
        name: of the proof.
        verdict: holds, violated or inconclusive.
        why: the violation, or what is missing; empty when it holds.
        interleavings: how many were explored, up to equivalence.
        executions: how many that took.
        seconds: real time.
        details: what it rests on, a line each.
    """

    name: str
    verdict: str
    why: str
    interleavings: int
    executions: int
    seconds: float
    details: tuple[str, ...]


def prove(proof: Proof, *, seconds: float | None = None) -> Proved:
    """Explores every interleaving of a proof, or as many as fit.

    Args:
        proof: which.
        seconds: real time after which it is given up, and inconclusive; None: never.
    """
    found = explore(
        proof.scenario,
        claims=proof.flow.claims,
        database=SqliteDatabase(metadata),
        scheduler="exhaustive",
        limits=Limits(EXECUTIONS_MAX, seconds=seconds, faults_max=proof.faults_max),
        bounds=BOUNDS,
        shrinking=False,
    )
    return Proved(
        proof.name,
        found.verdict,
        str(found.failure).partition("\n")[0]
        if found.failure is not None
        else found.inconclusive or found.idle,
        found.interleavings,
        found.executions,
        found.seconds,
        found.details,
    )


def without_its_guard(flow: Flow) -> Exploration:
    """The same claims, exhaustively, when a guard of the reference is gone: they must be violated."""
    (ablation,) = ablations.named([flow.guard])
    proof = Proof(flow, flow.caught_among, 1)
    with ablation.removed():
        return explore(
            proof.scenario,
            claims=flow.claims,
            database=SqliteDatabase(without_keys(metadata, *ablation.keys) if ablation.keys else metadata),
            scheduler="exhaustive",
            limits=Limits(EXECUTIONS_MAX, faults_max=1),
            bounds=BOUNDS,
            shrinking=False,
        )


def prove_all(proofs: Sequence[Proof], *, seconds: float | None, processes: int) -> Iterator[Proved]:
    """One after the other, or several at a time; in the order in which they were given.

    Args:
        proofs: which.
        seconds: for each.
        processes: how many at a time; 1: in this process.
    """
    if processes == 1:
        quietly()
        for proof in proofs:
            yield prove(proof, seconds=seconds)
        return
    # A fork would share the trio loop and the database's files.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=quietly) as pool:
        later = {
            proof.name: pool.submit(_prove_named, proof.name, seconds) for proof in longest_first(proofs)
        }
        yield from (later[proof.name].result() for proof in proofs)


def longest_first(proofs: Sequence[Proof]) -> list[Proof]:
    """What took long in the last complete run is begun first, so that no core is left over at the end."""
    known = json.loads(LAST_RUN.read_text(encoding="utf-8")) if LAST_RUN.is_file() else {}
    return sorted(proofs, key=lambda proof: -known.get(proof.name, {"seconds": 0.0})["seconds"])


def _prove_named(name: str, seconds: float | None) -> Proved:
    return prove(named([name])[0], seconds=seconds)


def quietly() -> None:
    """The reference says what goes wrong, and here it is meant to."""
    logging.disable(logging.CRITICAL)
