"""Runs the programs under simloom: seeds to find, its systematic mode to prove. It has no door for a database's statements."""

from __future__ import annotations

import asyncio
import time

import simloom  # type: ignore[import-not-found,unused-ignore]

from tests.bench.peers.programs import Program, Shared
from tests.bench.peers.result import Result

RUNS_MAX = 2_000
DELAYS_MAX = 3  # what its documentation uses for a proof


async def _pause() -> None:
    await asyncio.sleep(0)


def in_memory(program: Program, *, prove: bool, limit_s: float, seed: int = 0) -> Result:
    """Random walks; to prove, every schedule with at most three delays. It takes no time limit: the caller has one."""
    del limit_s

    async def main() -> None:
        shared = Shared(asyncio.Lock())
        await asyncio.gather(*(program.worker(number, shared, _pause) for number in range(program.workers)))
        wrong = program.wrong(shared)
        assert wrong is None, wrong

    began = time.perf_counter()
    if prove:
        found = simloom.explore_systematic(main, max_delays=DELAYS_MAX)
        seconds = time.perf_counter() - began
        if found.failed:
            return Result("violated", found.schedules, seconds)
        said = "holds" if found.proven_correct else "inconclusive"
        return Result(said, found.schedules, seconds, f"within {DELAYS_MAX} delays")
    sampled = simloom.explore(main, runs=RUNS_MAX, start_seed=seed * RUNS_MAX)
    seconds = time.perf_counter() - began
    return Result("violated" if sampled.failed else "inconclusive", sampled.runs, seconds, "sampled")
