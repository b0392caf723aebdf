"""The triple SMS as a value: every version of the backend, and its verdict."""

from __future__ import annotations

from scenarios.incidents.triple_sms.variants_deployed import DEPLOYED
from scenarios.incidents.triple_sms.variants_proposed import PROPOSED
from scenarios.incidents.triple_sms.variants_reference import REFERENCE
from scenarios.incidents.variants import Incident

INCIDENT = Incident(
    name="triple_sms",
    title="Triple SMS: one test, three results",
    when="2025-12-14",
    happened="Who takes the test and leaves a number gets the result by SMS and e-mail ten minutes later. People got three SMS. A timer "
    "sent the first one at 10:10:01; the cron job that is its backup found the notification still `pending` and sent the second at "
    "10:10:05; after a planned restart at 10:11:00, recovery found it overdue and sent the third at 10:11:03. Checks of a flag "
    "`sms_sent` were added before each send and the problem was declared solved: each user would get exactly one SMS.",
    argument="Three senders ask whether a message was sent, and send on the answer. The answer is about the past; between it and the "
    "send there is room for everybody else. On the analysis's own clock the check changes one thing: the cron job reads the flag at "
    "10:10:04, the timer's write of it is there at 10:10:06, so the second SMS goes out at 10:10:05 as before, and only the third is "
    "stopped (`timelines/` has both, to be replayed). The flag cannot even show it: `sms_sent` is true after one SMS and after three, so the "
    "proposed check of the database passes either way.\n\n"
    "A claim before the send stops duplicates and loses messages with their holders; a look-up brings them back and cannot see what a "
    "paused worker is about to send. That is not a matter of care. The send and our record of it cannot be one act, Mobizon has no "
    "idempotency key, and so an SMS can be promised at most once or at least once, and not exactly once.\n\n"
    "What holds: one row per lead, channel and template, with its text frozen in it; one sender for all paths; a claim with a fence and a "
    'lease; a mark in the row right before the call; and a state for "nobody knows" that a reconciler looks up later. The test\'s '
    "result is promised at most once as an SMS, and what is dropped is counted; as an e-mail it is sent under a key that Resend "
    "knows for a day. The argument in full is in [leads and messages](../flows/messages.md). What counts here is what Mobizon has "
    "accepted, never our own flag.",
    variants=(*DEPLOYED, *PROPOSED, *REFERENCE),
)
