"""The words of the lead and message flow as values: enums that are stored as they are spelled, and frozen rows.

No row here knows a database, and no function here decides anything: decisions are in `reference.flows.messages_rules`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Channel(StrEnum):
    SMS = "sms"  # Mobizon: no idempotency key, a look-up
    EMAIL = "email"  # Resend: an idempotency key, no look-up


class Template(StrEnum):
    PROFTEST_RESULT = "proftest_result"


class MessageState(StrEnum):
    """pending → sending → sent is the way of nearly every message; docs/flows/messages.md draws the rest."""

    PENDING = "pending"
    SENDING = "sending"  # somebody has claimed it, and may be calling the provider this very moment
    SENT = "sent"  # the provider has accepted it, by its own word
    UNKNOWN = "unknown"  # a call went out and no answer came: to be looked up, never to be sent again unasked
    FAILED = "failed"  # refused, or dropped by policy
    CANCELLED = (
        "cancelled"  # blocked before it was sent: another SMS went to this number less than an hour ago
    )


class Promise(StrEnum):
    """What is rather: a message that is lost, or a message that comes twice. There is no third choice without a provider's key."""

    AT_MOST = "at_most"
    AT_LEAST = "at_least"


class Attempted(StrEnum):
    """How an attempt ended, as far as is known; an attempt without a word is under way."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    NOT_CALLED = "not_called"  # given up before the call: out of time, overtaken, or dead
    NOT_TAKEN = "not_taken"  # the provider said "later" before it took anything
    UNKNOWN = "unknown"
    FOUND = "found"  # unknown at first; the look-up has found it at the provider
    NOT_FOUND = "not_found"  # unknown at first; the look-up has not found it
    REPEATED = "repeated"  # an e-mail's call whose key answers for it: the next one is the same mail


class Counted(StrEnum):
    """What is counted because it costs money or trust; a row each, so that nothing is counted twice."""

    BLOCKED_DUPLICATE = "blocked_duplicate"
    DROPPED = "dropped"  # not found, and not sent again: perhaps lost
    SENT_AGAIN = "sent_again"  # not found, and sent again: perhaps twice
    LATE_ACCEPT = "late_accept"  # a worker came back after its message had been settled without it
    SENT_TWICE = "sent_twice"  # the provider has accepted more than one


class Delivered(StrEnum):
    """A provider's last word on an SMS."""

    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What somebody filled in at the end of the test.

    Args:
        name: as they wrote it.
        phone: any spelling; kept as digits.
        email: any case; kept in lower case.
        answers: question by question.
    """

    name: str
    phone: str
    email: str
    answers: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Message:
    """A message that somebody has taken in hand: everything that a call needs, frozen when the lead came in.

    Args:
        id: derived from lead, channel and template.
        channel: which provider.
        recipient: digits, or an address.
        subject: of an e-mail.
        body: to the letter.
        client_ref: our name for it at the provider.
        promise: what is rather, lost or twice.
        attempt: the number of the claim that is, or was, the last one.
        fence: grows with every change of who may act on it; a worker whose fence is not the row's has been overtaken.
        lease_until: unix seconds; None when it is not claimed for sending.
        called_at: when it was first called, unix seconds.
        lookups: how often it has been looked up.
    """

    id: str
    channel: Channel
    recipient: str
    subject: str
    body: str
    client_ref: str
    promise: Promise
    attempt: int
    fence: int
    lease_until: int | None
    called_at: int | None
    lookups: int
