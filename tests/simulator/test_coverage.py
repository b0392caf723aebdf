"""Is what was seen counted as it is said: orders, faults, claims, classes; and does it cost nothing unless asked for?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from simulator import Claims, Crash, Limits, Operator, World, explore
from simulator.coverage import Coverage, Seen
from simulator.database import NoDatabase
from simulator.errors import ScheduleError
from simulator.execution import Simulation
from simulator.schedulers.replay import Wish
from simulator.schedulers.seeded import Seeded
from tests.simulator.exhaustive.brute_force import Lists, of_programs, searched
from tests.simulator.exhaustive.litmus import LITMUS


async def two_calls(world: World) -> None:
    """Two lanes call the same bank once; a third one calls nobody that they call."""
    done: list[str] = []
    for name in ("a", "b"):
        world.process(name).run(Operator(world.call, "bank", lambda: done.append("x"), name=name))
    world.process("c").run(Operator(world.call, "postman", lambda: done.append("y"), name="c"))
    await world.quiesce()


def covered(scenario: Any, *schedulers: Any, claims: Claims | None = None) -> Coverage:
    coverage = Coverage()
    with Simulation(scenario, claims or Claims(), NoDatabase()) as simulation:
        execute = coverage.on(simulation.execute)
        for scheduler in schedulers:
            execute(scheduler)
    return coverage


def wish(*lanes: str) -> Wish:
    return Wish({}, [(name, 3) for name in lanes])


def test_a_pair_is_counted_once_and_in_both_orders_when_it_was_seen_in_both() -> None:
    """Of three calls two conflict; the third one's place does not matter to anybody."""
    one = covered(two_calls, wish("a", "b", "c"), wish("c", "a", "b"))
    assert (one.seen.pairs, one.seen.both, one.seen.classes) == (1, 0, 1)
    assert one.as_data()["one_order"] == [["a: bank", "b: bank"]]

    both = covered(two_calls, wish("a", "b", "c"), wish("b", "a", "c"))
    assert (both.seen.pairs, both.seen.both, both.seen.classes, both.seen.once) == (1, 1, 2, 2)
    assert both.as_data()["both_orders"] == [["a: bank", "b: bank"]]
    assert both.words() == (
        "1 of 1 conflicting pair in both orders, 2 orders of conflicts, the next is new with a likelihood of about 100 %"
    )


def test_the_order_of_two_that_only_read_is_no_order() -> None:
    """Readers between two writes may come in any order; the class is the same."""

    class Reads:
        reads, writes = ("t",), ()

    async def readers(world: World) -> None:
        async def read() -> None:
            await world.point("SELECT t", Reads())

        world.process("p").run(Operator(read, name="a"), Operator(read, name="b"))
        await world.quiesce()

    coverage = covered(readers, wish("a", "b"), wish("b", "a"))

    assert (coverage.seen.pairs, coverage.seen.classes) == (0, 1)


def test_what_is_still_to_come_is_estimated_from_what_was_seen_once() -> None:
    """The same schedule ten times and another one once: one in eleven."""
    coverage = covered(two_calls, *(wish("a", "b", "c") for _ in range(10)), wish("b", "a", "c"))

    assert coverage.seen.unseen == pytest.approx(1 / 11)
    assert "about 9.1 %" in coverage.words()


def test_the_estimate_is_near_the_truth() -> None:
    """Over walks: of the next 500 executions about as many are of a new class as it says after the first 500."""

    async def three_callers(world: World) -> None:
        async def calls() -> None:
            for _ in range(3):
                await world.call("bank", lambda: None)

        for name in "abc":
            world.process(name).run(Operator(calls, name=name))
        await world.quiesce()

    with Simulation(three_callers, Claims(), NoDatabase()) as simulation:
        coverage = Coverage()
        execute = coverage.on(simulation.execute)
        for number in range(500):
            execute(Seeded(f"first/{number}"))
        estimated, known = coverage.seen.unseen, coverage.seen.classes
        for number in range(100):
            execute(Seeded(f"next/{number}"))

    assert (coverage.seen.classes - known) / 100 == pytest.approx(estimated, abs=0.12)
    assert 0.1 < estimated < 0.9


def test_faults_and_sometimes_are_counted_by_point_and_name() -> None:
    """Which fault struck before which point, in how many executions."""

    async def scenario(world: World) -> None:
        world.process("p").run(Operator(world.call, "bank", lambda: None, name="a"))
        world.inject(Crash("p", down_s=None))
        await world.quiesce()

    def always_reached(_world: World) -> str:
        return "it is"

    schedulers = [Wish({"crash p": moment}, []) for moment in (0, 2, 2, 3)]
    data = covered(scenario, *schedulers, claims=Claims(sometimes=(always_reached,))).as_data()

    assert data["faults"] == [
        {"fault": "SIGKILL p", "before": "a: bank", "executions": 2},
        {"fault": "SIGKILL p", "before": "a: reply to bank", "executions": 1},
    ]
    assert data["sometimes"] == {"always_reached": 4}


def test_it_is_saved_as_data_and_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """JSON with a version; an error names the file."""
    coverage = covered(two_calls, wish("a", "b"))
    coverage.save(tmp_path / "deep" / "x.interleavings.json", test="t.py::t")
    data = json.loads((tmp_path / "deep" / "x.interleavings.json").read_text(encoding="utf-8"))
    assert data["format"] == "turnstile coverage 1"
    assert (data["test"], data["executions"]) == ("t.py::t", 1)

    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ScheduleError, match=r"cannot be saved as .*file"):
        coverage.save(tmp_path / "file" / "x.json")


def test_nothing_is_collected_unless_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one execution is looked at; with the option each one is, and a portfolio has its own account."""

    def looked(*_arguments: Any) -> int:
        raise LookupError("looked")

    with monkeypatch.context() as patched:
        patched.setattr(Coverage, "add", looked)
        held = explore(
            two_calls, claims=Claims(), database=NoDatabase(), scheduler="seeded", limits=Limits(5)
        )
    assert held.coverage is None

    for scheduler in ("seeded", "drawn", "bounded", "portfolio"):
        held = explore(
            two_calls,
            claims=Claims(),
            database=NoDatabase(),
            scheduler=scheduler,
            limits=Limits(30),
            coverage=True,
        )
        assert held.coverage is not None
        assert held.coverage.seen.executions == held.executions
        assert held.coverage.seen.both == 1


READ, ADD = "SELECT v FROM t WHERE id = {}", "UPDATE t SET v = v + 1 WHERE id = {}"


def seen_of_all(*programs: list[str]) -> Seen:
    """Of every interleaving of some SQL programs, a process each, with the steps' effects recorded."""
    coverage = Coverage()
    small = of_programs(*programs)
    with small.simulation() as simulation:
        execute = coverage.on(simulation.execute)
        left: list[list[int]] = [[]]
        while left:
            given = left.pop()
            lists = Lists(given, simulation.database.would_wait)
            execute(lists)
            for at in range(len(given), len(lists.widths)):
                left += [given + [0] * (at - len(given)) + [index] for index in range(1, lists.widths[at])]
    return coverage.seen


def test_rows_are_told_apart_where_effects_are_recorded() -> None:
    """Two readers of what a third one writes in another row do not meet it; announcements name the table only."""
    apart = seen_of_all([READ.format(1)], [ADD.format(2)])
    assert (apart.pairs, apart.classes) == (0, 1)
    together = seen_of_all([READ.format(1)], [ADD.format(1)])
    assert (together.pairs, together.both, together.classes) == (1, 1, 2)


@pytest.mark.parametrize("name", ["lost update", "webhook before commit", "read skew"])
def test_a_class_is_what_an_exhaustive_search_counts(name: str) -> None:
    """All interleavings are of as many classes as the search executes."""
    programs = LITMUS[name]
    assert seen_of_all(*map(list, programs)).classes == len(searched(of_programs(*programs)).classes)
