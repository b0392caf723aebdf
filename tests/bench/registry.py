"""Which benchmarks there are. A new one is a function that yields measurements, and a line here."""

from __future__ import annotations

from tests.bench import (
    cores,
    harness,
    incident_224,
    memory_growth,
    optimality,
    random_programs,
    sqlite_ratios,
)
from tests.bench.measure import Benchmark

BENCHMARKS: dict[str, Benchmark] = {
    "trio": harness.trio_checkpoint_us,
    "memory": harness.executions_per_s_memory,
    "choice": harness.us_per_choice,
    "memory_growth": memory_growth.growth,
    "reset": harness.reset_us_sqlite,
    "purchase": sqlite_ratios.purchase_race,
    "executions_224": incident_224.executions_per_s,
    "find_224": incident_224.finding,
    "optimality": optimality.optimality,
    "random_programs": random_programs.random_programs,
    "cores": cores.two_cores,
}
