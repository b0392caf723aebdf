"""An order in January, a contest of January, and everybody who awards."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from reference import ContestNotDecidedError, Invariant
from scenarios.incidents.ticket_award.bots import STARTS, Bot, NotAnswered200, Paths, buyer_of
from scenarios.incidents.ticket_award.outside import Outside, of, tickets
from scenarios.wiring import DATABASE_ERRORS
from simulator import Cron, Operator, Webhook, World
from simulator.actors import Actor
from simulator.faults import Fault

NOW = datetime(2026, 1, 5, 12, 0, 0, tzinfo=UTC)
IN_TIME = NOW - timedelta(minutes=1)
BEFORE_THE_CONTEST = STARTS - timedelta(hours=1)
ORDER, ANOTHER = "o-1", "o-2"

_FIVE_MINUTES = timedelta(minutes=5)
_TOLERATED = (NotAnswered200, ConnectionError, *DATABASE_ERRORS)
_REFUSED = (ContestNotDecidedError, *DATABASE_ERRORS)


def webhook(
    order_id: str = ORDER,
    *,
    ordered_at: datetime | None = IN_TIME,
    retries: int = 1,
    every: timedelta = _FIVE_MINUTES,
) -> Actor:
    """YooKassa tells the API, and again when it does not answer 200."""
    return Webhook(
        _webhook,
        order_id,
        ordered_at,
        deliveries=1,
        retries=retries,
        retry_every=every,
        tolerates=_TOLERATED,
        name="webhook",
    )


def order_processing(order_id: str = ORDER) -> Actor:
    """The bot notices by itself."""
    return Operator(_order_processed, order_id, IN_TIME, tolerates=_TOLERATED, name="order processing")


def scheduler(*, ticks: int = 1) -> Actor:
    """Every five minutes; node-cron starts a tick while the last one still runs."""
    return Cron(
        _tick,
        every=_FIVE_MINUTES,
        after=_FIVE_MINUTES,
        ticks=ticks,
        overlap=True,
        tolerates=_TOLERATED,
        name="scheduler",
    )


async def orders(
    world: World,
    bot: Bot,
    *,
    api: Sequence[Actor],
    bots: Sequence[Actor] = (),
    faults: tuple[Fault, ...] = (),
    ordered_at: datetime = IN_TIME,
    attach_fails: int = 0,
    vpn_fails: int = 0,
    opens_after: timedelta | None = None,
    closes: bool = False,
) -> None:
    """Orders that are paid, and whoever notices.

    Args:
        world: the world.
        bot: the version.
        api: what runs in the process that serves webhooks.
        bots: what runs in the bot's process.
        faults: of those processes.
        ordered_at: when the order was really made.
        attach_fails: so many of the first ATTACHes of the bot's database fail.
        vpn_fails: so many of the first activations fail.
        opens_after: an operator opens the contest so late; None: it is open.
        closes: whether an operator closes it, and draws, while everybody is at it.
    """
    world.begin_at(NOW)
    outside = Outside(world, attach_fails=attach_fails, vpn_fails=vpn_fails)
    bot.stock(world, contest_is_open=opens_after is None)
    for order_id in (ORDER, ANOTHER):
        if any(order_id in actor.args for actor in (*api, *bots)):
            bot.has_order(world, order_id, buyer=buyer_of(order_id), ordered_at=ordered_at)
            outside.eligible += [order_id] * (ordered_at >= STARTS)
    start = bot.process(world, outside)
    world.process("api", start=start).run(*api)
    if bots:
        world.process("bot", start=start).run(*bots)
    if opens_after is not None:
        opens = Operator(_opens, after=opens_after, name="opens the contest")
        world.process("operator", start=start).run(opens)
    if closes:
        closing = Operator(_closes_and_draws, world, tolerates=_REFUSED, name="closes the contest")
        world.process("operator", start=start).run(closing)
    world.inject(*faults)
    await world.quiesce()


def _webhook(paths: Paths, order_id: str, ordered_at: datetime | None) -> Awaitable[Any]:
    return paths.webhook(order_id, ordered_at)


def _order_processed(paths: Paths, order_id: str, ordered_at: datetime) -> Awaitable[Any]:
    return paths.order_processed(order_id, ordered_at)


def _tick(paths: Paths) -> Awaitable[Any]:
    return paths.tick()


def _opens(paths: Paths) -> Awaitable[Any]:
    return paths.open_contest()


async def _closes_and_draws(paths: Paths, world: World) -> None:
    await paths.close_contest()
    of(world).drawn = tickets(world)


# What must hold ----------------------------------------------------------------------------------------------------

one_award_per_order_and_reason = Invariant(
    name="one_award_per_order_and_reason",
    claim="an order gives tickets for one reason to one person at most once in a contest",
    when="always",
    sql="""
        SELECT order_id AS paid_order, reason AS reason, COUNT(*) AS awards
        FROM ticket_ledger GROUP BY contest_id, order_id, reason, referrer_id HAVING COUNT(*) > 1
        ORDER BY order_id, reason
    """,
)


def every_eligible_order_is_awarded(world: World) -> str | None:
    """Whoever ordered in the contest's time and paid has tickets in the end."""
    for order_id in of(world).eligible:
        if not world.database.rows(f"SELECT id FROM ticket_ledger WHERE order_id = '{order_id}'"):
            return f"{order_id} was ordered in time and paid, and has no tickets"
    return None


def the_order_was_decided(world: World) -> str | None:
    """ "Not eligible" is written down: one decision of the reference's, with a reason."""
    rows = world.database.rows("SELECT outcome, why FROM award_decisions")
    decided = [(row["outcome"], row["why"]) for row in rows]
    return None if decided == [("not_eligible", "outside_period")] else f"decided: {decided}"


def no_other_order_is_awarded(world: World) -> str | None:
    """Whoever ordered before the contest began has none."""
    eligible = of(world).eligible
    for row in world.database.rows("SELECT order_id FROM ticket_ledger ORDER BY order_id"):
        if row["order_id"] not in eligible:
            return f"{row['order_id']} was ordered {BEFORE_THE_CONTEST:%Y-%m-%d %H:%M} and has tickets"
    return None


def nothing_is_awarded_after_the_draw(world: World) -> str | None:
    """What is drawn from is all that there will be."""
    drawn = of(world).drawn
    late = 0 if drawn is None else tickets(world) - drawn
    return f"{late} tickets came after the draw" if late else None


def an_answer_is_not_asked_for_again(world: World) -> str | None:
    """ "Not eligible" is an answer: after a failure there is one more award to be tried, and no third."""
    tried = of(world).awards
    return f"the award was tried {tried} times: 1 failed, {tried - 1} said no" if tried > 2 else None


def three_attempts_are_three(world: World) -> str | None:
    """ "At most 3 attempts" are at most three executions."""
    tried = of(world).awards
    return f"the award was tried {tried} times" if tried > 3 else None


def the_cause_is_told(world: World) -> str | None:
    """The queue is told why an award failed."""
    wrong = [error for error in of(world).errors if "unable to open" not in error]
    return f"bot.db could not be opened, and the queue was told: {wrong[0]}" if wrong else None


def tickets_were_given(world: World) -> str | None:
    """That nothing is given twice says little where nothing is given."""
    return "tickets were given" if tickets(world) else None


def it_was_drawn(world: World) -> str | None:
    """That nothing comes after the draw says little without one."""
    return "drawn" if of(world).drawn is not None else None
