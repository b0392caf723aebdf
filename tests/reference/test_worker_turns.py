"""Sweeps take turns: one worker at a time, by a row; what a dead one had is taken over, and what it reports late is not heard."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import trio

from reference.worker import Sweep, run, turns

if TYPE_CHECKING:
    from tests.reference.conftest import Shop

HOURLY = Sweep(name="hourly", method="retire_expired_keys", every_s=3600, lease_s=600, why="")
DAILY = Sweep(name="daily", method="retire_expired_keys", cron="0 9 * * *", why="")
DAY = 86_400


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


async def taken(shop: Shop, sweep: Sweep) -> turns.Turn:
    turn = await turns.take(shop.service, sweep)
    assert isinstance(turn, turns.Turn)
    return turn


async def test_a_sweep_is_due_at_once_and_then_at_its_interval(either_shop: Shop) -> None:
    """Counted from the beginning of the run, so that slow runs keep the rhythm."""
    shop = either_shop
    turn = await taken(shop, HOURLY)
    began_at = shop.service.now()
    shop.clock.at += 100
    await turns.done(shop.service, HOURLY, turn, began_at=began_at)

    assert await turns.take(shop.service, HOURLY) == turns.Wait(3500)
    shop.clock.at += 3500
    assert await turns.take(shop.service, HOURLY) == turns.Turn(fence=2, failures=0)


async def test_while_one_has_the_turn_the_other_waits_for_its_lease(either_shop: Shop) -> None:
    """Two workers, one run; the second hears how long the lease lasts."""
    shop = either_shop
    found = []

    async def take() -> None:
        found.append(await turns.take(shop.service, HOURLY))

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(take)

    assert sorted(found, key=str) == [turns.Turn(1, 0), *[turns.Wait(600)] * 3]


async def test_a_dead_workers_turn_is_taken_over_and_its_late_report_is_not_heard(either_shop: Shop) -> None:
    """The fence of the second run keeps the first one's word out."""
    shop = either_shop
    first = await taken(shop, HOURLY)
    shop.clock.at += 600
    second = await taken(shop, HOURLY)
    await turns.done(shop.service, HOURLY, first, began_at=shop.service.now())

    assert (first.fence, second.fence) == (1, 2)
    assert await turns.take(shop.service, HOURLY) == turns.Wait(600), "the second one is still at it"


async def test_a_failed_run_is_due_again_soon_and_later_each_time(either_shop: Shop) -> None:
    """5, 10, 20 seconds; never later than it would have been due anyway; the error is in the row."""
    shop = either_shop
    waits = []
    for _ in range(12):
        turn = await taken(shop, HOURLY)
        await turns.failed(shop.service, HOURLY, turn, ConnectionError("away"))
        wait = await turns.take(shop.service, HOURLY)
        assert isinstance(wait, turns.Wait)
        waits.append(wait.seconds)
        shop.clock.at += wait.seconds

    assert waits[:4] == [5, 10, 20, 40]
    assert max(waits) == 3600
    row = await shop.one("SELECT failures, last_error FROM sweeps WHERE name = 'hourly'")
    assert (row.failures, row.last_error) == (12, "ConnectionError('away')")

    await turns.done(shop.service, HOURLY, await taken(shop, HOURLY), began_at=shop.service.now())
    row = await shop.one("SELECT failures, last_error FROM sweeps WHERE name = 'hourly'")
    assert (row.failures, row.last_error) == (0, None)


async def test_a_run_that_was_cut_off_may_go_on_at_once(either_shop: Shop) -> None:
    """A worker that is being stopped hands its turn back."""
    shop = either_shop
    await turns.give_back(shop.service, HOURLY, await taken(shop, HOURLY))

    assert await turns.take(shop.service, HOURLY) == turns.Turn(fence=2, failures=0)


async def test_a_daily_run_is_not_made_on_a_new_database_and_made_up_for_on_an_old_one(shop: Shop) -> None:
    """Nobody was up at nine on the third day: at ten it is run, once, and then it waits for the next morning."""
    shop.clock.at = at("2026-01-02 12:00:00")
    assert await turns.take(shop.service, DAILY) == turns.Wait(21 * 3600)
    shop.clock.at = at("2026-01-04 10:00:00")
    turn = await taken(shop, DAILY)
    await turns.done(shop.service, DAILY, turn, began_at=shop.service.now())

    assert await turns.take(shop.service, DAILY) == turns.Wait(23 * 3600)


@pytest.mark.parametrize(
    ("sweep", "moment", "expected"),
    [
        (HOURLY, "2026-01-02 12:00:00", "2026-01-02 13:00:00"),
        (DAILY, "2026-01-02 08:59:59", "2026-01-02 09:00:00"),
        (DAILY, "2026-01-02 09:00:00", "2026-01-03 09:00:00"),
    ],
)
def test_the_next_moment_is_after_this_one(sweep: Sweep, moment: str, expected: str) -> None:
    """In UTC, and never this very second again."""
    assert turns.next_after(sweep, at(moment)) == at(expected)


async def test_a_worker_that_is_cut_off_in_a_sweep_hands_it_over(shop: Shop) -> None:
    """Cancelled in the middle of a run: the row says that it is due now, and nobody waits for the lease."""
    sweeping, stopping = trio.Event(), trio.Event()
    payment = await shop.order()
    shop.pays(payment)
    shop.clock.at += 120
    look_up = shop.yookassa.look_up

    async def never(_payment: str) -> None:
        sweeping.set()
        await trio.sleep_forever()

    shop.yookassa.look_up = never  # type: ignore[method-assign, assignment]
    pending = Sweep(name="pending", method="process_pending_paid_payments", every_s=300, why="")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: run(shop.service, stopping=stopping, schedule=[pending], grace_s=0.01))
        await sweeping.wait()
        stopping.set()

    shop.yookassa.look_up = look_up  # type: ignore[method-assign]
    row = await shop.one("SELECT next_at, lease_until FROM sweeps WHERE name = 'pending'")
    assert (row.next_at, row.lease_until) == (shop.service.now(), None)
