"""The relay does what was asked for, with leases, fences, patience and an end to it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import trio

from reference import AmbiguousError, LaterError, RefusedError, Topic, policies
from reference.flows import outbox
from reference.policies import Delivery

if TYPE_CHECKING:
    from conftest import Shop

    from reference.model import Job

NOTICE = [Topic.NOTICE]


async def notice(shop: Shop) -> tuple[str | None, int, int | None, int | None]:
    row = await shop.one("SELECT last_error, attempts, done_at, dead_at FROM outbox WHERE topic = 'notice'")
    return row.last_error, row.attempts, row.done_at, row.dead_at


async def test_a_purchase_is_told_to_the_buyer_once(shop: Shop) -> None:
    """With the text that was frozen when it was granted; a second run finds nothing to do."""
    payment = await shop.bought()
    assert await shop.service.relay(topics=NOTICE) == 1
    assert await shop.service.relay(topics=NOTICE) == 0
    assert shop.telegram.sent == [
        (7, "Your subscription is ready. It runs until 2026-02-01 12:00 UTC.", f"notice:{payment}")
    ]


async def test_an_extension_is_told_as_one(shop: Shop) -> None:
    """Each payment has its own notice, also on the same subscription."""
    await shop.bought("first")
    await shop.bought("second")
    await shop.service.relay(topics=NOTICE)
    assert sorted(text for _, text, _ in shop.telegram.sent) == [
        "Your subscription has been extended. It runs until 2026-03-03 12:00 UTC.",
        "Your subscription is ready. It runs until 2026-02-01 12:00 UTC.",
    ]


async def test_a_blocked_bot_buries_the_notice_and_calls_a_person(shop: Shop) -> None:
    """403 is final; the payment was completed long before and stays so."""
    payment = await shop.bought()
    shop.telegram.broken = RefusedError("403")
    await shop.service.relay(topics=NOTICE)
    error, attempts, done_at, dead_at = await notice(shop)
    assert (attempts, done_at, dead_at) == (1, None, shop.clock.at)
    assert error == "RefusedError('403')"
    assert (await shop.one("SELECT subject FROM attention")).subject == f"outbox:notice:{payment}"
    assert await shop.status(payment) == "completed"


async def test_a_failure_is_tried_again_later_and_later(shop: Shop) -> None:
    """Not before its time, and each time after a longer pause."""
    await shop.bought()
    shop.telegram.broken = ConnectionError("down")
    pauses = []
    for _ in range(4):
        assert await shop.service.relay(topics=NOTICE) == 1
        assert await shop.service.relay(topics=NOTICE) == 0
        next_at = (await shop.one("SELECT next_at FROM outbox WHERE topic = 'notice'")).next_at
        pauses.append(next_at - shop.clock.at)
        shop.clock.at = next_at
    assert pauses == [5, 10, 20, 40]
    shop.telegram.broken = None
    await shop.service.relay(topics=NOTICE)
    assert await notice(shop) == (None, 5, shop.clock.at, None)


async def test_who_is_asked_to_wait_waits(shop: Shop) -> None:
    """Telegram's `retry_after` outlasts our own pause, and a shorter one does not shorten it."""
    await shop.bought()
    for asked_s, waits_s in ((61.5, 62), (0.5, 10)):
        shop.telegram.broken = LaterError("too many", retry_after_s=asked_s)
        assert await shop.service.relay(topics=NOTICE) == 1
        next_at = (await shop.one("SELECT next_at FROM outbox WHERE topic = 'notice'")).next_at
        assert next_at - shop.clock.at == waits_s
        shop.clock.at = next_at


async def test_after_so_many_failures_a_job_is_dead(shop: Shop) -> None:
    """It is not lost: it stays where it is, with its last error, and a person is called."""
    await shop.bought()
    shop.telegram.broken = ConnectionError("down")
    for _ in range(20):
        await shop.service.relay(topics=NOTICE)
        shop.clock.at += policies.BACKOFF_MAX_S
    _, attempts, done_at, dead_at = await notice(shop)
    assert (attempts, done_at) == (12, None)
    assert dead_at is not None
    assert "given up after 12 attempts" in (await shop.one("SELECT why FROM attention")).why


async def test_an_ensure_job_is_never_given_up(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """After ten failures a person is called, and it goes on; when it can, it grants."""
    payment = await shop.paid()

    async def fail(_service: object, _job: Job) -> None:
        raise ConnectionError("database down")

    with monkeypatch.context() as patch:
        patch.setitem(outbox.HANDLERS, Topic.ENSURE, fail)  # type: ignore[arg-type]
        for _ in range(12):
            await shop.service.relay(topics=[Topic.ENSURE])
            shop.clock.at += policies.BACKOFF_MAX_S
    assert "still failing after 10 attempts" in (await shop.one("SELECT why FROM attention")).why
    await shop.service.relay(topics=[Topic.ENSURE])
    assert await shop.status(payment) == "completed"


async def test_a_lost_answer_from_telegram_means_sending_again(shop: Shop) -> None:
    """At least once, by policy: the text states a date, and silence after taking money is worse than saying it twice."""
    await shop.bought()
    shop.telegram.broken, shop.telegram.accepts_then_breaks = AmbiguousError("connection lost"), True
    await shop.service.relay(topics=NOTICE)
    shop.telegram.broken = None
    shop.clock.at += 5
    await shop.service.relay(topics=NOTICE)
    assert len(shop.telegram.sent) == 2
    assert (await notice(shop))[2] is not None


async def test_under_the_other_policy_a_lost_answer_is_not_repeated(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most once: the outcome is unknown, and a person is called."""
    await shop.bought()
    at_most_once = replace(policies.JOBS[Topic.NOTICE], delivery=Delivery.AT_MOST_ONCE)
    monkeypatch.setitem(policies.JOBS, Topic.NOTICE, at_most_once)  # type: ignore[arg-type]
    shop.telegram.broken, shop.telegram.accepts_then_breaks = AmbiguousError("connection lost"), True
    await shop.service.relay(topics=NOTICE)
    shop.clock.at += policies.BACKOFF_MAX_S
    await shop.service.relay(topics=NOTICE)
    assert len(shop.telegram.sent) == 1
    assert "outcome unknown" in (await shop.one("SELECT why FROM attention")).why


async def vanish(shop: Shop) -> None:
    """Have a worker claim the notice and never report."""
    job = await outbox._claim(shop.service, ["notice"])
    assert job is not None


async def test_a_job_whose_worker_vanished_is_done_by_the_next_one(shop: Shop) -> None:
    """When the lease has run out, and not before."""
    await shop.bought()
    await vanish(shop)
    assert await shop.service.relay(topics=NOTICE) == 0
    shop.clock.at += 60
    assert await shop.service.relay(topics=NOTICE) == 1
    assert len(shop.telegram.sent) == 1


async def test_under_the_other_policy_a_vanished_worker_may_have_sent_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So nobody sends it again."""
    await shop.bought()
    at_most_once = replace(policies.JOBS[Topic.NOTICE], delivery=Delivery.AT_MOST_ONCE)
    monkeypatch.setitem(policies.JOBS, Topic.NOTICE, at_most_once)  # type: ignore[arg-type]
    await vanish(shop)
    shop.clock.at += 60
    await shop.service.relay(topics=NOTICE)
    assert shop.telegram.sent == []
    assert "never reported" in (await shop.one("SELECT why FROM attention")).why


async def test_a_late_report_of_an_overtaken_worker_changes_nothing(shop: Shop) -> None:
    """Its fence is an old one; what the new worker wrote stays."""
    await shop.bought()
    late = await outbox._claim(shop.service, ["notice"])
    assert late is not None
    shop.clock.at += 60
    await shop.service.relay(topics=NOTICE)
    before = await notice(shop)
    await outbox._failed(shop.service, late, ConnectionError("I slept"))
    assert await notice(shop) == before
    assert await shop.rows("SELECT 1 FROM attention") == []


async def test_an_overtaken_worker_does_not_take_the_job_from_the_one_who_has_it(shop: Shop) -> None:
    """It reports a failure while the new one is still at it: lease, attempts and state stay the new one's."""
    await shop.bought()
    late = await outbox._claim(shop.service, ["notice"])
    shop.clock.at += 60
    now_at_it = await outbox._claim(shop.service, ["notice"])
    assert late is not None
    assert now_at_it is not None
    await outbox._failed(shop.service, late, ConnectionError("I slept"))
    row = await shop.one("SELECT fence, lease_until, last_error FROM outbox WHERE topic = 'notice'")
    assert tuple(row) == (now_at_it.fence, shop.clock.at + 60, None)


async def test_two_relays_share_the_work(either_shop: Shop) -> None:
    """Every message once, whoever sends it."""
    for user in range(6):
        await either_shop.bought(f"tap-{user}", user=user)
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(either_shop.service.relay)
    while await either_shop.service.relay():
        pass
    assert sorted(user for user, _, _ in either_shop.telegram.sent) == list(range(6))


async def test_one_failing_job_does_not_hold_up_the_others(shop: Shop) -> None:
    """The servers are down; the notice goes out."""
    await shop.bought()
    shop.servers.down = {"nl-1"}
    await shop.service.relay()
    assert len(shop.telegram.sent) == 1


async def test_a_run_of_the_relay_has_an_end(shop: Shop) -> None:
    """So a worker can look at its stop signal between two runs."""
    for user in range(3):
        await shop.bought(f"tap-{user}", user=user)
    assert await shop.service.relay(topics=NOTICE, jobs_max=2) == 2
