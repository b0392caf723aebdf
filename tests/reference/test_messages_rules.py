"""What follows silence is a pure function of channel, promise and time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reference.flows import messages_rules as rules
from reference.flows.messages_rules import Silence, after_silence
from reference.model_messages import Channel, Message, Promise
from reference.ports import SmsRecord

NOON = 1_767_355_200
MESSAGE = Message("msg", Channel.SMS, "77000000001", "", "text", "m-1", Promise.AT_MOST, 1, 1, None, NOON, 0)
RECORD = SmsRecord("sms-1", "77000000001", "text", "m-1", NOON)


def test_a_call_ends_before_its_lease_with_a_margin() -> None:
    """To the second."""
    least = rules.CALL_MAX_S + rules.MARGIN_S
    assert rules.may_call(NOON + least, NOON)
    assert not rules.may_call(NOON + least - 1, NOON)
    assert least < rules.LEASE_S


@pytest.mark.parametrize(
    ("channel", "promise", "after_s", "what"),
    [
        (Channel.SMS, Promise.AT_MOST, 0, Silence.DROP),
        (Channel.SMS, Promise.AT_LEAST, 0, Silence.SEND_AGAIN),
        (Channel.EMAIL, Promise.AT_LEAST, rules.KEY_LIVES_S - 1, Silence.REPEAT),
        (Channel.EMAIL, Promise.AT_MOST, rules.KEY_LIVES_S - 1, Silence.REPEAT),
        (Channel.EMAIL, Promise.AT_LEAST, rules.KEY_LIVES_S, Silence.SEND_AGAIN),
        (Channel.EMAIL, Promise.AT_MOST, rules.KEY_LIVES_S, Silence.DROP),
    ],
)
def test_what_follows_silence(channel: Channel, promise: Promise, after_s: int, what: Silence) -> None:
    """A key makes a repetition the same mail, for as long as it lives; after that the promise decides."""
    assert after_silence(channel, promise, called_at=NOON, now=NOON + after_s) is what


def test_a_silent_sms_is_looked_up_late_and_a_silent_mail_repeated_soon() -> None:
    """An SMS when the provider cannot be at it any more and its list shows it; a mail when the lease is over."""
    assert rules.look_at(Channel.SMS, NOON) == NOON + rules.PROVIDER_MAX_S + rules.INDEX_LAG_S
    assert rules.look_at(Channel.EMAIL, NOON) == NOON


def test_every_message_has_a_promise() -> None:
    """A new template is not sent before somebody has decided."""
    assert set(rules.PROMISES) == {(template, channel) for template in rules.Template for channel in Channel}


@pytest.mark.parametrize(
    "other",
    [
        replace(RECORD, recipient="177000000001"),
        replace(RECORD, text="text "),
        replace(RECORD, reference="m-2"),
    ],
    ids=["another number that contains it", "another text", "another reference"],
)
def test_another_message_is_not_taken_for_ours(other: SmsRecord) -> None:
    """The gateway matches parts of numbers."""
    assert rules.ours(MESSAGE, [other]) == []


def test_the_oldest_of_ours_comes_first_and_a_missing_reference_is_forgiven() -> None:
    """The list may not give the campaign's name back; the text is the lead's own."""
    nameless = replace(RECORD, reference=None, accepted_at=NOON - 1, message_id="sms-0")
    assert rules.ours(MESSAGE, [RECORD, nameless]) == [nameless, RECORD]
