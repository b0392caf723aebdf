"""The triple SMS: what was proposed, or would come to mind, and why it does not hold, or what it does not hold."""

from __future__ import annotations

from datetime import timedelta

from scenarios.incidents.triple_sms.scenario import (
    DUE,
    HALF_A_MINUTE_LATER,
    LAG_S,
    cron,
    every_lead_has_its_email,
    every_lead_has_its_sms,
    one_sms_per_lead,
    two_instances,
)
from scenarios.incidents.triple_sms.versions import (
    ANALYSIS,
    CHECKED,
    CLAIMING,
    IMPATIENT_S,
    PATIENT_S,
    RATE_LIMITED,
    REAPED,
    SET_NX,
    UNIQUE,
    ZOMBIE_S,
    holds,
    reaping,
    violated,
)
from scenarios.incidents.variants import Variant
from simulator import Crash, Pause, Restart, restarted
from simulator.network_faults import LateReply, ServerError

PROPOSED = (
    Variant(
        name="sms_sent_check",
        role="proposed",
        does="`sms_sent` and `email_sent` are asked before each send, in both systems; timer and cron job meet.",
        why="The flag is written after the send. Both ask before either has sent, as in the analysis's own timeline, where the cron "
        "job reads at 10:10:04 and the flag is there at 10:10:06.",
        source=f"{ANALYSIS}: the solution",
        run=violated(CHECKED, one_sms_per_lead, ticks=cron()),
    ),
    Variant(
        name="sms_sent_check_and_a_crash",
        role="proposed",
        does="The same; the process is killed at any moment and started again. There is only the timer and recovery.",
        why="Killed after Mobizon has accepted and before `sms_sent` is committed: recovery finds no flag and sends.",
        source=f"{ANALYSIS}: the solution",
        run=violated(CHECKED, one_sms_per_lead, faults=(Crash("backend"),)),
    ),
    Variant(
        name="sms_sent_check_and_two_timers",
        role="proposed",
        does="The same; the form is sent just when the process starts. No cron job, no fault.",
        why="Recovery, which is reading the pending notifications, sees the new one and sets a timer for it; the form sets another. "
        "The search found it.",
        source="not in the analysis",
        run=violated(CHECKED, one_sms_per_lead, comes=timedelta(0)),
    ),
    Variant(
        name="sms_sent_check_and_a_slow_reply",
        role="proposed",
        does="The same; Mobizon's answer takes longer than the cron job's minute, and nobody's clock is unlucky.",
        why="A tick does not wait for another sender, nor for the tick before it (node-cron's `noOverlap` is off): while the "
        "answer is awaited, the flag is not there.",
        source=f"{ANALYSIS}: the solution",
        run=violated(
            CHECKED,
            one_sms_per_lead,
            early_timers_max=0,
            ticks=cron(after=HALF_A_MINUTE_LATER, ticks=2),
            weather=(LateReply("mobizon", 75.0),),
        ),
    ),
    Variant(
        name="sms_sent_check_fails_open",
        role="proposed",
        does="The same; Resend refuses the e-mail, and one read of the flag ends with an error. Nothing is concurrent.",
        why="supabase-js returns an error instead of throwing it. `leadCheck?.sms_sent` of no data is false: the check that "
        "could not be made counts as passed.",
        source=f"{ANALYSIS}: the solution",
        run=violated(
            CHECKED,
            one_sms_per_lead,
            early_timers_max=0,
            ticks=cron(after=HALF_A_MINUTE_LATER),
            weather=(ServerError("resend", 503),),
            failing_reads=True,
        ),
    ),
    Variant(
        name="sms_sent_check_loses_the_email",
        role="proposed",
        does="The same; Resend refuses twice.",
        why='The timer wants both sends, the cron job either. "Already sent" counts as a success of the SMS, so the cron '
        "job calls the notification sent, and nobody tries the e-mail again.",
        source=f"{ANALYSIS}: the solution",
        run=violated(
            CHECKED,
            every_lead_has_its_email,
            early_timers_max=0,
            ticks=cron(after=HALF_A_MINUTE_LATER),
            weather=(ServerError("resend", 503), ServerError("resend", 503)),
        ),
    ),
    Variant(
        name="unique_index_on_pending",
        role="proposed",
        does="The check, and a unique index on the lead of pending notifications.",
        why="It forbids a second row. Here are two sends of one row.",
        source=f"{ANALYSIS}: improvement 1",
        run=violated(UNIQUE, one_sms_per_lead, ticks=cron()),
    ),
    Variant(
        name="rate_limit_get_then_set",
        role="proposed",
        does='The check, and "one SMS per lead and hour" in Redis: get, compare, set, send.',
        why="It is the same race once more: both get before either sets.",
        source=f"{ANALYSIS}: improvement 2",
        run=violated(RATE_LIMITED, one_sms_per_lead, ticks=cron()),
    ),
    Variant(
        name="rate_limit_loses_what_failed",
        role="proposed",
        does="The same; Mobizon answers the first request with 502 and takes nothing.",
        why="The mark is set before the send, so it stands for an SMS that there is not. The next tick is refused by it, has its "
        "e-mail, calls the notification sent, and the SMS is lost for good.",
        source=f"{ANALYSIS}: improvement 2",
        run=violated(
            RATE_LIMITED,
            every_lead_has_its_sms,
            early_timers_max=0,
            ticks=cron(after=HALF_A_MINUTE_LATER),
            weather=(ServerError("mobizon", 502),),
        ),
    ),
    Variant(
        name="rate_limit_set_nx",
        role="proposed",
        does="The rate limit as one command, `SET NX`; timer, cron job and a restart at any moment.",
        why="Nobody comes between looking and setting, and Redis outlives the process: no second SMS within the hour. It is a claim "
        "in another place, and loses as one: see the next line.",
        source="improvement 2, repaired",
        run=holds(SET_NX, restarted("backend"), ticks=cron(ticks=2), faults=(Restart("backend"),)),
    ),
    Variant(
        name="rate_limit_set_nx_loses_what_failed",
        role="proposed",
        does="The same; Mobizon answers the first request with 502 and takes nothing.",
        why="As above: the mark is set, the SMS is not sent, and the e-mail's success ends the story.",
        source="improvement 2, repaired",
        run=violated(
            SET_NX,
            every_lead_has_its_sms,
            early_timers_max=0,
            ticks=cron(after=HALF_A_MINUTE_LATER),
            weather=(ServerError("mobizon", 502),),
        ),
    ),
    Variant(
        name="claim_first",
        role="proposed",
        does="`pending` becomes `sending` in one conditional update, and only who did that sends; a restart at any moment.",
        why="One of all who come has one row changed. Nobody looks at `sending` again, so there is no second SMS.",
        source="the usual repair",
        run=holds(CLAIMING, restarted("backend"), ticks=cron(ticks=2), faults=(Restart("backend"),)),
    ),
    Variant(
        name="claim_first_loses_with_its_holder",
        role="proposed",
        does="The same; the process is killed at any moment.",
        why="Killed between claim and send: the notification stays `sending`, and nobody looks at it again.",
        source="the usual repair",
        run=violated(
            CLAIMING,
            every_lead_has_its_sms,
            early_timers_max=0,
            scheduler="bounded",
            faults=(Crash("backend"),),
        ),
    ),
    Variant(
        name="look_up_too_early",
        role="proposed",
        does="Claim first, and a reaper that asks Mobizon about claims older than a minute and sends again what is not in its list.",
        why="The list lags behind (two minutes here, nobody documents it): the SMS of the killed process is not in it yet.",
        source="the usual repair of the repair",
        run=violated(
            reaping(IMPATIENT_S),
            one_sms_per_lead,
            early_timers_max=0,
            ticks=cron(after=DUE + timedelta(seconds=90)),
            lag_s=LAG_S,
            faults=(Crash("backend"),),
        ),
    ),
    Variant(
        name="look_up_that_waits",
        role="proposed",
        does="The same with a reaper that waits ten minutes; the process is killed at any moment.",
        why="After ten minutes a request of a dead process has arrived, and the list has it: found, or sent again by one reaper.",
        source="the usual repair of the repair",
        run=holds(
            reaping(PATIENT_S),
            restarted("backend"),
            eventually=[every_lead_has_its_sms],
            scenario=two_instances,
            ticks=cron(after=REAPED),
            lag_s=LAG_S,
            faults=(Crash("backend"),),
        ),
    ),
    Variant(
        name="look_up_that_waits_and_a_pause",
        role="proposed",
        does="The same; instead of dying the process stops for a quarter of an hour at any moment, and goes on.",
        why="Stopped between claim and request, it is not in the list because it has not sent yet. The reaper sends, and then it wakes "
        "up. No waiting time is long enough, and Mobizon has no key by which it could tell.",
        source="the usual repair of the repair",
        run=violated(
            reaping(PATIENT_S),
            one_sms_per_lead,
            two_instances,
            early_timers_max=0,
            ticks=cron(after=REAPED),
            lag_s=LAG_S,
            faults=(Pause("backend", ZOMBIE_S),),
        ),
    ),
)
