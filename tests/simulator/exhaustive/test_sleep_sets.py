"""The second counter of classes: it agrees with the brute force wherever there is one, and the search agrees with it beyond."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given

from scenarios.incidents.subscription_224.shops import REFERENCE, V2_4_10, Shop
from simulator.reduction import search
from tests.simulator.exhaustive.brute_force import Program, all_of, of_programs
from tests.simulator.exhaustive.classes import Class, Executed, executed_at_random, executed_by_the_search
from tests.simulator.exhaustive.litmus import FOUR_AND_A_LOCK, LITMUS, LOST_UPDATE, OF_MORE
from tests.simulator.exhaustive.purchases import purchase
from tests.simulator.exhaustive.random_programs import as_many_as_asked, longer_sql_programs, sql_programs
from tests.simulator.exhaustive.sleep_sets import SleepSets, executed_with_sleep_sets


@pytest.mark.parametrize("name", LITMUS)
def test_it_counts_what_the_brute_force_counts(name: str) -> None:
    """As many classes, each executed once, and the same states."""
    programs = LITMUS[name]

    counted = executed_with_sleep_sets(of_programs(*programs))

    every = all_of(of_programs(*programs), waiting_is_a_step=False)
    assert every is not None
    assert counted.finished
    assert len(counted.classes) == len(every.classes)
    assert set(counted.classes.values()) == {1}
    assert set(counted.states) == set(every.states)


@as_many_as_asked(20)
@given(sql_programs())
def test_it_counts_what_the_brute_force_counts_for_random_sql_programs(programs: list[Program]) -> None:
    """Where there are not too many interleavings to execute them all."""
    every = all_of(of_programs(*programs), waiting_is_a_step=False, at_most=300)
    if every is None:
        return
    counted = executed_with_sleep_sets(of_programs(*programs))
    assert len(counted.classes) == len(every.classes)
    assert set(counted.states) == set(every.states)


@pytest.mark.parametrize("workers", [3, 4])
def test_with_actors_that_are_all_the_same_each_class_is_there_for_each_of_their_orders(workers: int) -> None:
    """What no conflict relation can tell: exchanging the names of two equal actors gives a class that exists as well."""
    counted = executed_with_sleep_sets(of_programs(*[LOST_UPDATE[1:]] * workers))

    for order in permutations(range(workers)):
        names = {f"a{before}": f"a{after}" for before, after in enumerate(order)}
        assert {renamed(each, names) for each in counted.classes} == set(counted.classes)


def renamed(each: Class, names: dict[str, str]) -> Class:
    """The same class with other names of its lanes."""
    return tuple(tuple(sorted((names[lane], ordinal) for lane, ordinal in steps)) for steps in each)


def test_a_step_that_is_taken_for_less_than_it_may_look_at_costs_classes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Why a step is taken for all that it looked at in any execution: the looks of a snapshot come later."""
    programs = [
        ["BEGIN", "SELECT v FROM t WHERE id = 1", "SELECT v FROM t WHERE id = 2", "COMMIT"],
        ["UPDATE t SET v = 5 WHERE id = 2"],
    ]
    true = set(executed_with_sleep_sets(of_programs(*programs)).classes)
    monkeypatch.setattr(SleepSets, "_learn_all", lambda _: None)
    monkeypatch.setattr(SleepSets, "_taken_for", lambda _self, _same, number: number)
    assert set(executed_with_sleep_sets(of_programs(*programs)).classes) < true


# The search, counted by it -----------------------------------------------------------------------------------------


def agree(programs: list[Program]) -> Executed:
    """Executes what the search executes: each class that there is, once."""
    found = executed_by_the_search(of_programs(*programs))
    counted = executed_with_sleep_sets(of_programs(*programs))
    assert set(found.classes) == set(counted.classes)
    assert set(found.states) == set(counted.states)
    assert set(found.classes.values()) == {1}
    return found


@pytest.mark.parametrize("name", [name for name in OF_MORE if name != "lost update of four"])
def test_the_search_is_optimal_among_three_and_four_actors(name: str) -> None:
    """Counters, lost updates and locked counters: nothing is begun in vain. The benchmark has the largest."""
    found = agree(OF_MORE[name])
    assert found.begun == len(found.classes)


def test_two_may_attempt_in_vain_to_take_a_lock_before_its_holder_commits_and_after() -> None:
    """Two of the 85 classes were missed once; so were 6 of 908 of a lost update of four."""
    assert len(agree(FOUR_AND_A_LOCK).classes) == 85


@as_many_as_asked(10)
@given(longer_sql_programs())
def test_the_search_misses_no_class_of_longer_random_sql_programs(programs: list[Program]) -> None:
    """Three or four actors: too many interleavings for a brute force."""
    agree(programs)


@pytest.mark.parametrize(
    ("shop", "paths", "status", "classes"),
    [
        (REFERENCE, ("webhook", "polling"), "pending", 16),
        (REFERENCE, ("webhook", "notices"), "paid", 4),
        (REFERENCE, ("webhook", "polling", "sweep"), "paid", 16),
        (V2_4_10, ("polling", "notices"), "pending", 231),
    ],
)
def test_the_search_is_optimal_on_the_purchase_flow(
    shop: Shop, paths: tuple[str, ...], status: str, classes: int
) -> None:
    """The reference and the shop as it was deployed; the benchmark `optimality` has the larger ones."""
    found = executed_by_the_search(purchase(shop, paths, status=status))
    counted = executed_with_sleep_sets(purchase(shop, paths, status=status))
    walked = executed_at_random(
        purchase(shop, paths, status=status), 20, atomic_sections=counted.atomic_sections
    )

    assert found.begun == len(counted.classes) == classes
    assert set(found.classes) == set(counted.classes)
    assert set(found.states) == set(counted.states)
    assert set(walked.classes) <= set(counted.classes)
    assert set(walked.states) <= set(counted.states)


def test_a_search_that_forgets_every_third_beginning_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the number of classes; the states that are left may well be all."""
    insert, calls = search.insert, [0]

    def forgetful(*arguments: Any) -> bool:
        calls[0] += 1
        return bool(calls[0] % 3) and insert(*arguments)

    monkeypatch.setattr(search, "insert", forgetful)
    found = executed_by_the_search(purchase(REFERENCE, ("webhook", "polling")))
    assert len(found.classes) < 16


def test_a_search_that_does_too_much_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a beginning is planned although its class was explored, an execution is begun in vain."""
    monkeypatch.setattr(search, "first_step", lambda *_: None)
    found = executed_by_the_search(purchase(REFERENCE, ("webhook", "polling")), at_most=30)
    assert found.begun > len(found.classes)
