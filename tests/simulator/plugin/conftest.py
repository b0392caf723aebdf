"""Runs pytest inside of pytest, on a shop of two who add."""

from __future__ import annotations

import re
from importlib.metadata import entry_points
from typing import Any

import pytest

import simulator.pytest_simulation  # noqa: F401 - here, or each run in this process would import it anew

PLUGIN = [] if "turnstile" in entry_points(group="pytest11").names else ["-p", "simulator.pytest_plugin"]
HEAD = """
    import pytest
    from simulator import Operator, World, simulate

    def never_lost(world):
        return f"is {VALUE[0]}" if VALUE[0] != 2 else None

    VALUE = [0]

    async def adds(world):
        await world.point("reads")
        seen = VALUE[0]
        await world.point("writes")
        VALUE[0] = seen + 1

    async def adds_at_once(world):
        await world.point("adds")
        VALUE[0] += 1

    async def two(world, program=adds):
        VALUE[0] = 0
        world.run(Operator(program, world, name="first"), Operator(program, world, name="second"))
        await world.quiesce()
"""


class Runner:
    """Runs pytest on ``tests/test_shop.py``, which begins with HEAD: ``run(source, "--option", ...)``.

    Attributes:
        found: source of a test that passes because it finds what it is to find.
        violated: source of a test that fails.
        holds: source of a test whose claim holds.
        schedule: text of a schedule of ``violated``.
    """

    found = """
    @simulate(finds=never_lost)
    async def test_an_addition_is_lost(world):
        await two(world)
"""
    violated = """
    @simulate(eventually=[never_lost])
    async def test_no_addition_is_lost(world):
        await two(world)
"""
    holds = """
    @simulate(eventually=[never_lost])
    async def test_one_step_loses_nothing(world):
        await two(world, adds_at_once)
"""
    schedule = """\
turnstile schedule 1
test: tests/test_shop.py::test_no_addition_is_lost
database: none
violates: never_lost
steps: 6
first: starts
first: reads
second: starts
second: reads
second: writes
first: writes
end
"""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self._pytester = pytester
        pytester.mkdir("tests")

    def __call__(
        self, source: str, *arguments: str, ini: str = "trio_mode = true", apart: bool = False
    ) -> pytest.RunResult:
        self._pytester.makeini(f"[pytest]\n{ini}\nfilterwarnings = error\n")
        path = self._pytester.makepyfile(test_shop=f"{HEAD}\n{source}")
        path.replace(self._pytester.path / "tests" / path.name)
        return self.again(*arguments, apart=apart)

    def again(self, *arguments: str, apart: bool = False) -> pytest.RunResult:
        """Runs what is there; in a process of its own when it must."""
        start = self._pytester.runpytest_subprocess if apart else self._pytester.runpytest_inprocess
        return start(*PLUGIN, "-p", "no:cacheprovider", *arguments)

    def saved(self, text: str) -> str:
        """The option that replays a file of that text."""
        self._pytester.path.joinpath("x.schedule").write_text(text, encoding="utf-8")
        return "--schedule=x.schedule"

    def schedules(self) -> list[Any]:
        """What was saved, by name."""
        return sorted((self._pytester.path / ".turnstile").iterdir())

    @staticmethod
    def summary(result: pytest.RunResult) -> list[str]:
        """The lines of our section, without the digits that end names."""
        lines = result.outlines
        start = next(at for at, line in enumerate(lines) if " simulations ===" in line)
        section = []
        for line in lines[start + 1 :]:
            if line.startswith("==="):
                break
            section.append(re.sub(r"-[0-9a-f]{4}\b", "", line))
        return section

    @staticmethod
    def printed(result: pytest.RunResult) -> str:
        """The option of the command that a report ends with; in CI pytest's own summary repeats the report."""
        options = re.findall(
            r"^replay: pytest (--schedule=\S+\.schedule)$", result.stdout.str(), re.MULTILINE
        )
        assert len(set(options)) == 1
        return str(options[0])


@pytest.fixture
def run(pytester: pytest.Pytester) -> Runner:
    """Runs pytest on a module: see Runner."""
    return Runner(pytester)
