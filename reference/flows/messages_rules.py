"""Every decision about messages that is a choice and not a consequence, with its reason; pure functions of plain data.

A send and our record of it cannot be one act. Marking first loses a message when somebody dies in between; sending first doubles it.
A provider's idempotency key closes that gap for a while, a look-up narrows it, and what is left is a choice:

======================  =====================================================  ==========================================
case                    decision                                               why
======================  =====================================================  ==========================================
test result, SMS        at most once                                           it costs money each time, the e-mail says
                                                                               the same, and nobody is owed an SMS
test result, e-mail     at least once                                          Resend's key makes that exactly once for a
                                                                               day; afterwards twice is better than never
died before the call    sent later                                             the mark that precedes a call is missing, and
                                                                               nobody can write it any more: the fence moved
died in the call, no    unknown: looked up, once nothing can be under way      "pending" would send it again at once
answer
found                   sent                                                   by the provider's own word
not found               dropped (at most once), sent again (at least once);    a look-up cannot see what a sleeping worker
                        counted either way                                     is still about to send
e-mail, no answer       the same call again, with the same key                 for a day it is the same mail
refused                 failed, a person is told                               it will be refused again
"later"                 tried again after a pause, so many times               nothing was taken
same form again         the same lead, no new message                          a double click is not a second test
other answers           another lead                                           a second test has another result
SMS to a number that    cancelled before it is sent, counted, an alert         a lead has one number; another form with the
had one within the                                                             same number is what a bomber would send
hour
======================  =====================================================  ==========================================
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from reference.model_messages import Channel, Message, Promise, Template
from reference.policies import DAY_S, HOUR_S
from reference.ports import SmsRecord

SEND_AFTER_S = 600  # ten minutes after the form: as announced on the page
SMS_EVERY_S = HOUR_S

LEASE_S = 60
CALL_MAX_S = 20  # both clients give up by then, and so do we, whatever they do
MARGIN_S = 10  # between our last look at the lease and the provider's first byte: other tasks, a page fault, two clocks
# A call that begins while the lease has CALL_MAX_S + MARGIN_S left has ended before the lease has. 60 leaves half a minute
# for the way from the claim to the call, which takes milliseconds unless the process was paused.

PROVIDER_MAX_S = 60  # a request that was written may still be worked on at their side
INDEX_LAG_S = (
    300  # nobody documents how far Mobizon's list lags behind; too early a look is a duplicate under at_least
)
LOOK_LEASE_S = 60  # for one look-up
LOOK_AROUND_S = 300  # our clock and theirs

KEY_LIVES_S = DAY_S - HOUR_S  # Resend keeps a key for a day; the hour is for clocks and queues
CALLS_MAX = 12  # so many claims of one message, some two hours of pauses; then a person looks
LOOKUPS_MAX = 10  # so many look-ups without an answer until a person is told; it goes on all the same

PROMISES: Mapping[tuple[Template, Channel], Promise] = {
    (Template.PROFTEST_RESULT, Channel.SMS): Promise.AT_MOST,
    (Template.PROFTEST_RESULT, Channel.EMAIL): Promise.AT_LEAST,
}


def may_call(lease_until: int, now: int) -> bool:
    """Whether a call that begins now ends while the lease still holds, with room for what is not known."""
    return lease_until - now >= CALL_MAX_S + MARGIN_S


def look_at(channel: Channel, lease_until: int) -> int:
    """When a message whose call gave no answer is looked at: once nothing of that call can be under way any more.

    An e-mail is not looked up but sent again under its key, which Resend answers for; so the lease is all there is to wait for.
    """
    return lease_until if channel is Channel.EMAIL else lease_until + PROVIDER_MAX_S + INDEX_LAG_S


class Silence(StrEnum):
    """What to do about a message whose call gave no answer, and that was not found."""

    REPEAT = "repeat"  # under its key: the same mail
    SEND_AGAIN = "send_again"  # perhaps a second one
    DROP = "drop"  # perhaps none


def after_silence(channel: Channel, promise: Promise, *, called_at: int, now: int) -> Silence:
    """Say what follows when no answer came and nothing was found.

    Args:
        channel: e-mail has a key that a provider honours.
        promise: what is rather.
        called_at: when it was first called; the key lives from then.
        now: unix seconds.
    """
    if channel is Channel.EMAIL and now - called_at < KEY_LIVES_S:
        return Silence.REPEAT
    return Silence.SEND_AGAIN if promise is Promise.AT_LEAST else Silence.DROP


def ours(message: Message, records: Iterable[SmsRecord]) -> list[SmsRecord]:
    """The records that are this message, oldest first.

    Mobizon matches parts of a number, so it is compared again. It keeps our reference on the campaign and may not give it back;
    the text carries the lead's own link, so number and text alone are no other lead's.
    """
    found = [
        record
        for record in records
        if (record.recipient, record.text) == (message.recipient, message.body)
        and record.reference in (None, message.client_ref)
    ]
    return sorted(found, key=lambda record: (record.accepted_at, record.message_id))
