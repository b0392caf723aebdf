"""The bench program itself: it runs, it writes what it says, and it refuses clearly. Nothing here is about speed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the program as tox does."""
    command = [sys.executable, "-m", "tests.bench", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_a_quick_run_writes_a_list_of_values_with_their_goals(tmp_path: Path) -> None:
    """Each value says what it is, in which unit, what it should be, whether it is, and how it was measured."""
    path = tmp_path / "bench.json"

    done = bench("--quick", "--json", str(path), "memory", "purchase")

    assert done.returncode == 0, done.stderr
    values = {item["name"]: item for item in json.loads(path.read_text(encoding="utf-8"))}
    assert {
        "executions_per_s_memory",
        "controlled_over_bare_sqlite",
        "asyncio_thread_over_controlled",
    } <= set(values)
    for name, item in values.items():
        assert list(item) == ["name", "value", "unit", "goal", "meets", "how"]
        assert item["value"] > 0
        assert (item["goal"] is None) == (item["meets"] is None)
        assert name in done.stdout


def test_an_unknown_benchmark_is_refused_by_name(tmp_path: Path) -> None:
    """One line says which there are, and nothing is measured or written."""
    path = tmp_path / "bench.json"

    done = bench("--json", str(path), "memroy")

    assert done.returncode == 2
    assert "there is no benchmark 'memroy'; there are: " in done.stderr
    assert not path.exists()
