"""Does trio's run queue obey, on the trio that is installed, and is everything put back afterwards?"""

from __future__ import annotations

import contextvars
import gc
import random
import subprocess
import sys
import threading

import pytest
import trio
import trio._core._run as trio_run
from hypothesis import given
from hypothesis import strategies as st

from simulator import Claims, Limits, Operator, SimulatorError, World, explore
from simulator.database import NoDatabase
from simulator.errors import UnsupportedTrio
from simulator.runtime import trio_control
from simulator.runtime.trio_control import TrioLoop, VirtualTime

PRIVATE = "_ALLOW_DETERMINISTIC_SCHEDULING", "_r"


class Ordered:
    """Picks tasks by name in a given order; others go first."""

    def __init__(self, order: str) -> None:
        self._order = list(order)

    def pick(self, batch: list[trio.lowlevel.Task]) -> trio.lowlevel.Task | None:
        named = {task.name: task for task in batch}
        others = [task for task in batch if len(task.name) > 1]
        if others:
            return others[0]
        return (
            named[self._order.pop(0)] if self._order and self._order[0] in named else next(iter(batch), None)
        )


class Failing:
    """A picker that cannot pick."""

    def pick(self, batch: list[trio.lowlevel.Task]) -> trio.lowlevel.Task | None:  # noqa: ARG002
        raise LookupError("nobody")


def steps_in_order(loop: TrioLoop, order: str, *, asking: str = "") -> str:
    seen: list[str] = []

    async def step(name: str) -> None:
        for _ in range(order.count(name)):
            seen.append(name)
            if name not in asking or not loop.goes_on():
                await trio.lowlevel.checkpoint()

    async def job() -> None:
        async with trio.open_nursery() as nursery:
            for name in sorted(set(order)):
                nursery.start_soon(step, name, name=name)

    loop.run(job, Ordered(order))
    return "".join(seen)


def state_of_trio() -> tuple[object, ...]:
    return tuple(getattr(trio_run, name) for name in PRIVATE)


@given(st.permutations("aaabbbccc"))
def test_any_order_of_steps_can_be_chosen(letters: list[str]) -> None:
    """Whatever order is chosen is the order in which the steps of three tasks run."""
    order = "".join(letters)
    loop = TrioLoop(VirtualTime())
    try:
        assert steps_in_order(loop, order) == order
    finally:
        loop.close()


@given(st.permutations("aaabbbccc"), st.sampled_from(["a", "b", "ac", "abc"]))
def test_who_asks_before_its_checkpoint_changes_no_order(letters: list[str], asking: str) -> None:
    """A task that asks whether it goes on, and skips its checkpoint then, runs as one that does not ask."""
    order = "".join(letters)
    loop = TrioLoop(VirtualTime())
    try:
        assert steps_in_order(loop, order, asking=asking) == order
    finally:
        loop.close()


def test_a_task_that_goes_on_costs_no_round_of_trios_loop() -> None:
    """That is what asking is for: of a hundred steps of one task, trio sees none."""
    loop = TrioLoop(VirtualTime())

    class Counting(trio.abc.Instrument):
        rounds = 0

        def before_io_wait(self, _timeout: float) -> None:
            self.rounds += 1

    async def job() -> int:
        counting = Counting()
        trio.lowlevel.add_instrument(counting)
        for _ in range(100):
            assert loop.goes_on()
        rounds = counting.rounds
        await trio.lowlevel.checkpoint()
        assert counting.rounds == rounds + 1, "it cannot count"
        return rounds

    assert loop.run(job, Ordered("")) == 0
    loop.close()


@pytest.mark.parametrize("what", ["timer", "cancelled"])
def test_a_round_in_which_something_happens_first_is_left_to_trio(what: str) -> None:
    """A timer that is due and a cancellation come before the choice, as they do in trio's own round."""
    clock = VirtualTime()
    loop = TrioLoop(clock)
    went_on: list[bool] = []

    async def job() -> None:
        with trio.CancelScope(deadline=5) as scope:
            went_on.append(loop.goes_on())
            if what == "timer":
                clock.now_s = 5
            else:
                scope.cancel()
            went_on.append(loop.goes_on())
            await trio.lowlevel.checkpoint()
        went_on.append(loop.goes_on())

    loop.run(job, Ordered(""))
    loop.close()
    assert went_on == [True, False, True]


def test_a_picker_that_raises_while_a_task_moves_ends_the_loop() -> None:
    """As it does when trio asks: nothing of it reaches the task, which may catch whatever is raised."""
    loop = TrioLoop(VirtualTime())

    class FailingOnce(Ordered):
        asked = 0

        def pick(self, batch: list[trio.lowlevel.Task]) -> trio.lowlevel.Task | None:
            self.asked += 1
            if self.asked == 2:
                raise LookupError("nobody")
            return super().pick(batch)

    async def job() -> None:
        await trio.lowlevel.checkpoint()
        try:
            loop.goes_on()
        except BaseException:
            raise AssertionError("it was told") from None

    with pytest.raises(LookupError, match="nobody"):
        loop.run(job, FailingOnce(""))
    loop.close()
    gc.collect()


def test_what_a_task_has_set_is_not_seen_by_who_picks() -> None:
    """Context variables of the task that asks stay its own: what a pick sets off does not inherit them."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")
    variable.set("the caller's")
    seen: list[str] = []

    class Looking(Ordered):
        def pick(self, batch: list[trio.lowlevel.Task]) -> trio.lowlevel.Task | None:
            seen.append(variable.get())
            return super().pick(batch)

    async def job() -> None:
        variable.set("the task's")
        await trio.lowlevel.checkpoint()
        loop.goes_on()

    loop = TrioLoop(VirtualTime())
    loop.run(job, Looking(""))
    loop.close()
    assert len(seen) >= 2
    assert set(seen) == {"the caller's"}


def test_a_loop_serves_many_jobs_and_hands_back_what_they_return_or_raise() -> None:
    """A job that raises does not cost the loop."""
    loop = TrioLoop(VirtualTime())

    async def fine() -> int:
        await trio.sleep(0)
        return 7

    async def broken() -> None:
        raise LookupError("gone")

    assert loop.run(fine, Ordered("")) == 7
    with pytest.raises(LookupError, match="gone"):
        loop.run(broken, Ordered(""))
    assert steps_in_order(loop, "abba") == "abba"
    loop.close()


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (trio_run, "_ALLOW_DETERMINISTIC_SCHEDULING"),
        (trio_run, "_r"),
        (trio_run, "GLOBAL_RUN_CONTEXT"),
        (trio_run.Task, "_attempt_abort"),
        (trio_control._Chooser, "shuffle"),
    ],
)
def test_a_trio_without_the_hook_is_refused_by_name(
    owner: object, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each private name that is gone, and a hook that is not obeyed, is told with the versions that work; twice."""
    monkeypatch.setattr(trio_control, "_probed", False)
    if name == "shuffle":
        monkeypatch.setattr(owner, name, lambda _self, _batch: None)
    else:
        monkeypatch.delattr(owner, name)
    for _ in range(2):
        with pytest.raises(UnsupportedTrio) as refused:
            TrioLoop(VirtualTime())
        assert f"trio {trio.__version__} cannot be controlled" in str(refused.value)
        assert f"Known to work: trio {trio_control.KNOWN_TO_WORK}" in str(refused.value)


def test_a_trio_without_its_inner_modules_is_refused_by_name() -> None:
    """A trio that was taken apart differently is told at the import, not as an ImportError of some inner module."""
    code = "import sys, trio; sys.modules['trio._core._thread_cache'] = None; import simulator.runtime.trio_control"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert "UnsupportedTrio: trio" in ran.stderr
    assert "Known to work" in ran.stderr


@pytest.mark.parametrize("ending", ["close", "job raises", "picker raises"])
def test_trio_is_given_back_what_it_had(ending: str) -> None:
    """The flag and the generator are trio's own again after close, whatever went wrong before."""
    before = state_of_trio()
    loop = TrioLoop(VirtualTime())
    assert state_of_trio() != before

    async def broken() -> None:
        await trio.sleep(0)
        raise LookupError("nobody")

    if ending != "close":
        with pytest.raises(LookupError, match="nobody"):
            loop.run(broken, Ordered("") if ending == "job raises" else Failing())
    loop.close()
    loop.close()
    assert state_of_trio() == before
    assert trio.run(trio.sleep, 0) is None
    gc.collect()


def test_a_loop_whose_picker_raised_says_so() -> None:
    """It cannot go on, and using it again is an error with words rather than a hang."""
    loop = TrioLoop(VirtualTime())
    with pytest.raises(LookupError):
        loop.run(lambda: trio.sleep(1), Failing())
    with pytest.raises(SimulatorError, match="this loop has ended"):
        loop.run(lambda: trio.sleep(1), Ordered(""))
    loop.close()
    gc.collect()


def test_another_run_in_the_same_thread_gets_trios_own_error() -> None:
    """While a loop is open, between its jobs and inside of them, trio refuses a second one."""
    loop = TrioLoop(VirtualTime())

    async def job() -> None:
        trio.run(trio.sleep, 0)

    with pytest.raises(RuntimeError, match="run"):
        trio.run(trio.sleep, 0)
    with pytest.raises(RuntimeError, match="run"):
        loop.run(job, Ordered(""))
    loop.close()


async def test_an_exploration_inside_a_running_loop_is_refused_in_words() -> None:
    """Asked from an async test, it says to ask from a plain one, and leaves the outer loop alone."""
    before = state_of_trio()

    async def scenario(world: World) -> None:
        await world.quiesce()

    with pytest.raises(SimulatorError, match="call it from a plain function"):
        explore(scenario, claims=Claims(), database=NoDatabase(), limits=Limits(1))
    assert state_of_trio() == before


def test_the_trio_of_another_thread_is_not_disturbed() -> None:
    """A trio.run beside an open loop runs to its end, while jobs run and while the loop stands still."""
    reached: list[int] = []
    running, enough = threading.Event(), threading.Event()

    async def count() -> None:
        async with trio.open_nursery() as nursery:
            for number in range(3):
                nursery.start_soon(steps, number)

    async def steps(number: int) -> None:
        while not enough.is_set():
            await trio.sleep(0)
            running.set()
        reached.append(number)

    loop = TrioLoop(VirtualTime())
    thread = threading.Thread(target=trio.run, args=(count,))
    thread.start()
    running.wait()
    order = "".join(random.Random(1).choices("ab", k=200))
    assert steps_in_order(loop, order) == order
    enough.set()
    thread.join()
    loop.close()
    assert sorted(reached) == [0, 1, 2]


def test_context_variables_come_in_and_do_not_stay() -> None:
    """A job sees the caller's context variables; what it sets itself, the next job does not see."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")
    variable.set("the caller's")
    seen: list[str] = []
    loop = TrioLoop(VirtualTime())

    async def job() -> None:
        seen.append(variable.get())
        variable.set("a job's")

    loop.run(job, Ordered(""))
    loop.run(job, Ordered(""))
    loop.close()
    assert seen == ["the caller's", "the caller's"]


def test_the_probe_runs_once_for_an_interpreter() -> None:
    """It proved control when this file's first loop was opened."""
    TrioLoop(VirtualTime()).close()
    assert trio_control._probed
    assert issubclass(UnsupportedTrio, SimulatorError)


def test_a_program_that_waits_for_nothing_can_be_driven_by_an_exploration() -> None:
    """The smallest scenario of all holds."""

    async def nothing() -> None:
        """Ends at once."""

    async def scenario(world: World) -> None:
        world.run(Operator(nothing))
        await world.quiesce()

    found = explore(scenario, claims=Claims(), database=NoDatabase(), scheduler="bounded", limits=Limits(10))
    assert found.failure is None
    assert found.exhaustive
