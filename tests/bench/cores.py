"""How much sooner an exhaustive search ends with a second process: the same search, with the same result."""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from statistics import median

from reference.storage.schema import metadata
from scenarios.proofs.proving import BOUNDS
from scenarios.proofs.registry import named
from simulator import Exploration, Limits, explore
from simulator.database.sqlite import SqliteDatabase
from tests.bench.measure import Effort, Goal, Measurement, real_s

CLAIM, WITHOUT_FAULTS = "rest/hourly+daily", "rest/hourly+daily+crm"
_OF_A_SINGLE_PLAN = 300  # executions, of six thousand
_SHORT_ROUND_S = 0.1  # a round that is shorter than that is a test of the benchmark itself


def two_cores(effort: Effort) -> Iterator[Measurement]:
    """A claim of many plans, one of a single plan, where executions are run ahead, and what the machine's two cores are worth."""
    quick = effort.round_s < _SHORT_ROUND_S
    many, single = (20, 20) if quick else (100_000, _OF_A_SINGLE_PLAN)
    rounds = range(min(3, effort.rounds))
    logging.disable(logging.CRITICAL)  # the reference says what goes wrong, and here it is meant to
    try:
        for suffix, name, executions, goal in (
            ("", CLAIM, many, Goal(">=", 1.8)),
            ("_single_plan", WITHOUT_FAULTS, single, None),
        ):
            yield Measurement(
                f"two_cores_over_one{suffix}",
                median([_ratio(name, executions=executions) for _ in rounds]),
                "times",
                f"real time of the exhaustive search {name} with one process over that with two; both explore the same "
                "interleavings, in the same order",
                goal,
            )
        yield Measurement(
            "two_cores_at_most",
            median([_at_once(many) for _ in rounds]),
            "times",
            f"what this machine's second core is worth: real time of {CLAIM} twice, one after the other, over twice at once, in "
            "two processes that know nothing of each other",
        )
    finally:
        logging.disable(logging.NOTSET)


def _at_once(executions: int) -> float:
    alone = _seconds(executions)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(_seconds, [1, 1]))  # they have imported everything
        together = max(pool.map(_seconds, [executions] * 2))
    return 2 * alone / together


def _seconds(executions: int) -> float:
    logging.disable(logging.CRITICAL)
    began = real_s()
    _explored(CLAIM, executions, 1)
    return real_s() - began


def _ratio(name: str, *, executions: int) -> float:
    found, seconds = [], []
    for processes in (1, 2):
        began = real_s()
        found.append(_explored(name, executions, processes))
        seconds.append(real_s() - began)
    if found[0].interleavings != found[1].interleavings or found[0].details != found[1].details:
        raise AssertionError(f"{name}: two processes found something else than one")
    return seconds[0] / seconds[1]


def _explored(name: str, executions: int, processes: int) -> Exploration:
    (proof,) = named([name])
    return explore(
        proof.scenario,
        claims=proof.flow.claims,
        database=SqliteDatabase(metadata),
        scheduler="exhaustive",
        limits=Limits(executions, faults_max=proof.faults_max),
        bounds=BOUNDS,
        shrinking=False,
        processes=processes,
    )
