"""The triple SMS: the code as it was deployed, and what becomes of it."""

from __future__ import annotations

from scenarios.incidents.triple_sms.scenario import (
    HALF_A_MINUTE_LATER,
    cron,
    no_lead_gets_three_sms,
    one_sms_per_lead,
)
from scenarios.incidents.triple_sms.versions import (
    ANALYSIS,
    AS_DEPLOYED,
    violated,
)
from scenarios.incidents.variants import Variant
from simulator import Crash
from simulator.network_faults import ServerError

DEPLOYED = (
    Variant(
        name="timer_and_cron",
        role="deployed",
        does="Ten minutes after the form the timer sends the result, and so does the cron job that is its backup.",
        why="Both ask whether the notification is `pending`, and it is until after the send: whoever asks in between sends too.",
        source=f"{ANALYSIS}: source 1",
        run=violated(AS_DEPLOYED, one_sms_per_lead, ticks=cron()),
    ),
    Variant(
        name="timer_cron_and_recovery",
        role="deployed",
        does="The same, and the process is restarted at any moment, which kills it (nobody handles SIGINT); at its start it sends "
        "what is overdue.",
        why="Recovery sees `pending` as well: what the process before it was doing, it cannot know. Three SMS, as reported.",
        source=f"{ANALYSIS}: sources 1 to 3",
        run=violated(
            AS_DEPLOYED, no_lead_gets_three_sms, early_timers_max=0, ticks=cron(), faults=(Crash("backend"),)
        ),
    ),
    Variant(
        name="a_failed_email_sends_the_sms_again",
        role="deployed",
        does="Resend refuses the e-mail; the cron job comes half a minute later.",
        why="No race is needed. The timer calls a notification sent when e-mail and SMS went well, so it stays `pending` "
        "for want of the e-mail, and the next tick sends both.",
        source="a later reading of the code",
        run=violated(
            AS_DEPLOYED,
            one_sms_per_lead,
            early_timers_max=0,
            ticks=cron(after=HALF_A_MINUTE_LATER),
            weather=(ServerError("resend", 503),),
        ),
    ),
)
