"""The triple SMS: the reference, in the same situations."""

from __future__ import annotations

from scenarios.incidents.triple_sms.scenario import (
    LAG_S,
    an_sms_was_dropped,
    two_instances,
)
from scenarios.incidents.triple_sms.versions import (
    A_FEW_TICKS,
    MORE_TICKS,
    TICKS_OF_ANOTHER,
    ZOMBIE_S,
    reference,
)
from scenarios.incidents.variants import Variant
from simulator import Crash, Pause, Restart, restarted
from simulator.network_faults import LostReply, ServerError

REFERENCE = (
    Variant(
        name="reference",
        role="reference",
        does="Timer, sweep and recovery, and the process is restarted at any moment.",
        why="One sender for all three. It claims with a fence, writes down that it is about to call, and calls. A worker that vanished "
        "before that mark has not called, and its message is pending again; after it nobody knows, and it is looked up.",
        run=reference(restarted("backend"), executions=None, ticks=A_FEW_TICKS, faults=(Restart("backend"),)),
    ),
    Variant(
        name="reference_lost_replies",
        role="reference",
        does="The same; the process is killed, and an answer of Mobizon's and one of Resend's are lost.",
        why='No answer is never "not sent": the SMS is looked up after everything has had its time, the e-mail is asked for again '
        "under its key.",
        run=reference(
            restarted("backend"),
            ticks=MORE_TICKS,
            faults=(Crash("backend"),),
            weather=(LostReply("mobizon"), LostReply("resend")),
        ),
    ),
    Variant(
        name="reference_dropped",
        role="reference",
        does="The same without a restart; something in front of Mobizon answers 502, and Mobizon has taken nothing.",
        why="That is not known, so the SMS is looked up, not found, and dropped: it is promised at most once, is counted as dropped, and "
        "the e-mail says the same.",
        run=reference(an_sms_was_dropped, ticks=A_FEW_TICKS, weather=(ServerError("mobizon", 502),)),
    ),
    Variant(
        name="reference_and_a_pause",
        role="reference",
        does="Two instances, and the one with the timer stops for a quarter of an hour at any moment, and goes on.",
        why="It looks at its fence and its lease before it calls. Past that look nothing can stop it, so what is promised at most "
        "once is never sent again by another: the sleeper's SMS is the only one, if late.",
        run=reference(
            scenario=two_instances,
            lag_s=LAG_S,
            ticks=TICKS_OF_ANOTHER,
            faults=(Pause("backend", ZOMBIE_S),),
        ),
    ),
)
