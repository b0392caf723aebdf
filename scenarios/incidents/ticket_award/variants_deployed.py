"""The ticket awards: the code as it was deployed, and what becomes of it."""

from __future__ import annotations

from datetime import timedelta

from scenarios.incidents.ticket_award.scenario import (
    BEFORE_THE_CONTEST,
    an_answer_is_not_asked_for_again,
    every_eligible_order_is_awarded,
    no_other_order_is_awarded,
    nothing_is_awarded_after_the_draw,
    one_award_per_order_and_reason,
    scheduler,
    the_cause_is_told,
    three_attempts_are_three,
    webhook,
)
from scenarios.incidents.ticket_award.versions import (
    ASYNCHRONOUS,
    EVERYBODY,
    GUIDE,
    SOURCE,
    WITHOUT_A_QUEUE,
    violated,
)
from scenarios.incidents.variants import Variant
from simulator import Crash, Pause

DEPLOYED = (
    Variant(
        name="activation_fails_after_the_award",
        role="deployed",
        does="One webhook awards; the activation after it fails; the webhook answers 500 and YooKassa sends it again.",
        why="No concurrency is needed. The ids hold a clock and a random number, and the ledger has no other key, so the second award "
        "has nothing to collide with.",
        source=f"{SOURCE}, 2.1 and 3.1",
        run=violated(GUIDE, one_award_per_order_and_reason, sequential=True, api=[webhook()], vpn_fails=1),
    ),
    Variant(
        name="three_entry_points",
        role="deployed",
        does="The API's webhook, the bot's order processing and the scheduler award one order.",
        why="Three awarders that know nothing of each other, and nobody asks whether it was done.",
        source=f"{SOURCE}, 1.1",
        run=violated(GUIDE, one_award_per_order_and_reason, **EVERYBODY),
    ),
    Variant(
        name="overlapping_ticks",
        role="deployed",
        does="A failed award is in the queue; the process stops for six minutes during a tick, and the next one comes due. The driver "
        "is an asynchronous one.",
        why="A tick collects its keys first and removes them after the award, and node-cron lets ticks overlap. better-sqlite3 is "
        "synchronous and hides this; the scheduler's own type says that an award is awaited.",
        source=f"{SOURCE}, 4.2",
        run=violated(
            ASYNCHRONOUS,
            one_award_per_order_and_reason,
            api=[webhook(), scheduler(ticks=2)],
            attach_fails=1,
            faults=(Pause("api", 360.0),),
        ),
    ),
    Variant(
        name="restart_loses_the_queue",
        role="deployed",
        does="The award fails once and is queued; the webhook answers 200; the process is killed before the tick.",
        why="The queue is a Map, and the error was answered with 200: nobody else knows that something is owed.",
        source=f"{SOURCE}, 4.2 and 4.3",
        run=violated(
            GUIDE,
            every_eligible_order_is_awarded,
            early_timers_max=0,
            api=[webhook(), scheduler(ticks=3)],
            attach_fails=1,
            faults=(Crash("api"),),
        ),
    ),
    Variant(
        name="without_the_queue_an_error_is_final",
        role="deployed",
        does="The webhook as in section 2.1, where the call of the queue is a comment; the award fails once.",
        why='"Non-critical" errors are logged and answered with 200, so YooKassa is done.',
        source=f"{SOURCE}, 2.1",
        run=violated(
            WITHOUT_A_QUEUE,
            every_eligible_order_is_awarded,
            sequential=True,
            api=[webhook()],
            attach_fails=1,
        ),
    ),
    Variant(
        name="contest_opened_late",
        role="deployed",
        does="An operator opens the contest three minutes after the first order of its period was paid.",
        why="The webhook takes `false` for an answer and queues nothing; nobody looks again.",
        source=f"{SOURCE}, 4.3",
        run=violated(
            GUIDE,
            every_eligible_order_is_awarded,
            sequential=True,
            api=[webhook(), scheduler(ticks=2)],
            opens_after=timedelta(minutes=3),
        ),
    ),
    Variant(
        name="false_counts_as_failure",
        role="deployed",
        does="An order from before the contest, whose first award failed, is in the queue.",
        why='`false` is "not eligible", and the queue takes it for a failure: the same question, three times.',
        source=f"{SOURCE}, 4.2",
        run=violated(
            GUIDE,
            an_answer_is_not_asked_for_again,
            sequential=True,
            api=[webhook(ordered_at=BEFORE_THE_CONTEST), scheduler(ticks=4)],
            ordered_at=BEFORE_THE_CONTEST,
            attach_fails=1,
        ),
    ),
    Variant(
        name="false_uses_up_the_attempts",
        role="deployed",
        does="The same with an order of the period and a contest that is opened twenty minutes late.",
        why="Three answers of `false` are three attempts; when the contest is open, the order has been dropped.",
        source=f"{SOURCE}, 4.2",
        run=violated(
            GUIDE,
            every_eligible_order_is_awarded,
            sequential=True,
            api=[webhook(), scheduler(ticks=5)],
            attach_fails=1,
            opens_after=timedelta(minutes=22),
        ),
    ),
    Variant(
        name="attempts_off_by_one",
        role="deployed",
        does="Every award fails; the maximum is three attempts.",
        why="The counter begins at 1 for the attempt that failed, and retries go on while it is at most 3: four executions.",
        source=f"{SOURCE}, 4.2",
        run=violated(
            GUIDE,
            three_attempts_are_three,
            sequential=True,
            api=[webhook(), scheduler(ticks=4)],
            attach_fails=99,
        ),
    ),
    Variant(
        name="redeliveries_use_up_the_attempts",
        role="deployed",
        does="Award and activation fail for three minutes; YooKassa sends the webhook again each minute; then all is well.",
        why="Each redelivery counts as an attempt of the queue. The first tick finds four of three and drops the award, without a "
        "single retry of its own.",
        source=f"{SOURCE}, 4.2 and 4.3",
        run=violated(
            GUIDE,
            every_eligible_order_is_awarded,
            sequential=True,
            api=[webhook(retries=4, every=timedelta(minutes=1)), scheduler()],
            attach_fails=4,
            vpn_fails=3,
        ),
    ),
    Variant(
        name="missing_created_at",
        role="deployed",
        does="The metadata of an order from before the contest has no `created_at`.",
        why="It is not among the fields that are asked for, and an Invalid Date is neither before the start nor after the end: inside.",
        source=f"{SOURCE}, 2.1 and 3.1",
        run=violated(
            GUIDE,
            no_other_order_is_awarded,
            sequential=True,
            api=[webhook(ordered_at=None)],
            ordered_at=BEFORE_THE_CONTEST,
        ),
    ),
    Variant(
        name="contest_closes_meanwhile",
        role="deployed",
        does="An operator closes the contest, and draws, while an award is under way.",
        why="The contest is read before the transaction. Closed and drawn in between, it still gets the tickets.",
        source=f"{SOURCE}, 3.1",
        run=violated(GUIDE, nothing_is_awarded_after_the_draw, api=[webhook()], closes=True),
    ),
    Variant(
        name="detach_hides_the_cause",
        role="deployed",
        does="The bot's database cannot be opened.",
        why="ATTACH fails, `finally` runs DETACH, which fails as well, and its error is the one that is thrown: the queue, and whoever "
        "reads it, is told that there is no such database.",
        source=f"{SOURCE}, 3.1",
        run=violated(GUIDE, the_cause_is_told, sequential=True, api=[webhook()], attach_fails=1),
    ),
)
