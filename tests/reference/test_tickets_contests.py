"""Contests keep their terms and close when all is decided; an invitation is written down once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import trio

from reference.flows import tickets
from reference.flows.tickets_contests import ContestNotDecidedError, ContestTermsError

if TYPE_CHECKING:
    from conftest import Shop
    from sqlalchemy.ext.asyncio import AsyncConnection

    from reference.model_tickets import Contest

NOON = 1_767_355_200


async def test_opening_again_is_opening_once(either_shop: Shop) -> None:
    """Two operators at once, and again after it was closed."""
    terms = await either_shop.contest()
    made = []

    async def open_again(contest: Contest) -> None:
        made.append(await either_shop.service.open_contest(contest))

    february = replace(terms, id="february")
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(open_again, february)
    assert sorted(made) == [False, False, True]
    await either_shop.service.close_contest("february")
    await open_again(february)
    assert (await either_shop.one("SELECT is_active FROM contests WHERE id = 'february'")).is_active


@pytest.mark.parametrize(
    "change",
    [{"ends_at": NOON + 1}, {"attribution_window_days": 1}, {"tickets": {1: 6, 2: 60}}, {"tickets": {1: 5}}],
    ids=str,
)
async def test_other_terms_are_another_contest(shop: Shop, change: dict[str, object]) -> None:
    """Orders have been decided by the old ones."""
    terms = await shop.contest()
    with pytest.raises(ContestTermsError, match="is asked for as"):
        await shop.service.open_contest(replace(terms, **change))  # type: ignore[arg-type]


async def test_a_contest_closes_when_every_order_of_its_period_is_decided(shop: Shop) -> None:
    """Otherwise a late job would find it closed, and a buyer would lose by our slowness."""
    await shop.contest()
    order = await shop.bought()
    with pytest.raises(ContestNotDecidedError, match=order):
        await shop.service.close_contest("january")
    await shop.service.relay()
    await shop.service.close_contest("january")
    assert not (await shop.one("SELECT is_active FROM contests")).is_active
    later = await shop.bought("later", user=8)
    assert await shop.service.award(later) == ()
    with pytest.raises(LookupError, match="autumn"):
        await shop.service.close_contest("autumn")


async def test_closing_while_an_order_is_being_decided_agrees_with_it(either_shop: Shop) -> None:
    """Either the decision is there, or the contest is still open."""
    shop = either_shop
    await shop.contest()
    order = await shop.bought()

    async def close() -> None:
        try:
            await shop.service.close_contest("january")
        except ContestNotDecidedError:
            return

    async with trio.open_nursery() as nursery:
        nursery.start_soon(shop.service.award, order)
        nursery.start_soon(close)
    assert len(await shop.rows("SELECT 1 FROM award_decisions")) == 1


async def test_a_contest_waits_for_the_order_that_is_being_decided_by_its_terms(
    postgresql_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise it would close first and be decided in afterwards, behind the back of whoever draws the winners."""
    shop = postgresql_shop
    await shop.contest()
    order = await shop.bought()
    deciding, go_on, closed = trio.Event(), trio.Event(), trio.Event()
    read_terms = tickets._open_contests

    async def slowly(connection: AsyncConnection) -> list[Contest]:
        terms = await read_terms(connection)
        deciding.set()
        await go_on.wait()
        return terms

    monkeypatch.setattr(tickets, "_open_contests", slowly)

    async def close() -> None:
        await shop.service.close_contest("january")
        closed.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(shop.service.award, order)
        await deciding.wait()
        nursery.start_soon(close)
        with trio.fail_after(30):
            while not await shop.rows("SELECT 1 FROM pg_locks WHERE NOT granted"):
                await trio.sleep(0.01)
        go_on.set()
    assert closed.is_set()


async def test_the_first_invitation_stands(either_shop: Shop) -> None:
    """Two links opened at once: one of them, and not the later one afterwards."""
    shop = either_shop
    await shop.contest()
    await shop.contest("over", starts_at=NOON - 60, ends_at=NOON)
    bound = []

    async def bind(referrer: int) -> None:
        bound.append(await shop.service.bind_referral(referrer_id=referrer, referred_id=7))

    async with trio.open_nursery() as nursery:
        for referrer in (3, 4):
            nursery.start_soon(bind, referrer)
    assert sorted(bound) == [False, True]
    await bind(5)
    assert bound[-1] is False
    events = await shop.rows("SELECT contest_id, referrer_id, status FROM ref_events")
    referrer = (await shop.one("SELECT referrer_id FROM user_referrals")).referrer_id
    assert [tuple(event) for event in events] == [("january", referrer, "bound")]
    assert await shop.broken_claims() == {}


async def test_nobody_invites_themselves(shop: Shop) -> None:
    """The link is theirs; opening it binds nothing."""
    assert await shop.service.bind_referral(referrer_id=7, referred_id=7) is False
    assert await shop.rows("SELECT 1 FROM user_referrals") == []
