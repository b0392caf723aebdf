"""The tables of leads and their messages; the constraints carry the invariants.

``UNIQUE (lead_id, channel, template)`` is "one message", and the conditional update of its ``state`` with a new ``fence`` is "one
sender". `in_limbo_until` says what is worse than a duplicate to forget: a message that somebody may be sending, or may have
sent, always has a date on which it is looked at again.
"""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from reference.model_messages import Attempted, Channel, Counted, Delivered, MessageState, Promise, Template
from reference.storage.schema import instant, metadata, one_of

landing_leads = Table(
    "landing_leads",
    metadata,
    Column("id", Text, primary_key=True),  # derived from the form: the same form is the same lead
    Column("name", Text, nullable=False),
    Column("phone", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("answers", Text, nullable=False),  # JSON, sorted
    Column("submits", Integer, nullable=False, server_default="1"),
    instant("created_at"),
    CheckConstraint("phone <> '' AND email <> ''", name="contact"),
    CheckConstraint("submits > 0", name="submits"),
)

messages = Table(
    "messages",
    metadata,
    Column("id", Text, primary_key=True),  # 'msg:<lead>:<channel>:<template>'
    Column("lead_id", ForeignKey("landing_leads.id"), nullable=False),
    Column("channel", Text, nullable=False),
    Column("template", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("subject", Text, nullable=False, server_default=""),
    Column("body", Text, nullable=False),  # frozen: a look-up compares it to the letter
    Column(
        "client_ref", Text, nullable=False, unique=True
    ),  # our name for it at the provider: Mobizon's campaign name, Resend's key
    Column("promise", Text, nullable=False),
    Column("state", Text, nullable=False, server_default=MessageState.PENDING),
    instant("due_at"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    instant("lease_until", nullable=True),
    Column("fence", Integer, nullable=False, server_default="0"),
    instant("called_at", nullable=True),  # the first call that may have reached the provider
    instant("look_at", nullable=True),  # when the reconciler comes for it
    Column("lookups", Integer, nullable=False, server_default="0"),
    Column("provider_message_id", Text),
    Column("last_error", Text),
    instant("created_at"),
    instant("sent_at", nullable=True),
    UniqueConstraint("lead_id", "channel", "template"),
    UniqueConstraint("channel", "provider_message_id"),  # two providers number independently
    Index(
        "ix_messages_due",
        "due_at",
        sqlite_where=text("state = 'pending'"),
        postgresql_where=text("state = 'pending'"),
    ),
    Index(
        "ix_messages_look",
        "look_at",
        sqlite_where=text("state IN ('sending', 'unknown')"),
        postgresql_where=text("state IN ('sending', 'unknown')"),
    ),
    one_of("channel", Channel, "channel"),
    one_of("template", Template, "template"),
    one_of("promise", Promise, "promise"),
    one_of("state", MessageState, "state"),
    CheckConstraint("(state IN ('sending', 'unknown')) = (look_at IS NOT NULL)", name="in_limbo_until"),
    CheckConstraint("(state = 'sending') = (lease_until IS NOT NULL)", name="lease"),
    CheckConstraint("(state = 'sent') = (provider_message_id IS NOT NULL)", name="sent_by_their_word"),
    CheckConstraint("(state = 'sent') = (sent_at IS NOT NULL)", name="sent_at"),
    CheckConstraint("state <> 'unknown' OR called_at IS NOT NULL", name="unknown_was_called"),
    CheckConstraint("attempts >= 0 AND fence >= attempts AND lookups >= 0", name="counters"),
)

message_attempts = Table(
    "message_attempts",
    metadata,
    Column("message_id", ForeignKey("messages.id"), primary_key=True),
    Column("n", Integer, primary_key=True),
    instant("started_at"),
    instant(
        "called_at", nullable=True
    ),  # written *before* the call, by whoever still had the fence and the time
    instant("ended_at", nullable=True),
    Column("outcome", Text),
    Column("detail", Text),
    one_of("outcome", Attempted, "outcome"),
    CheckConstraint("n > 0", name="n"),
    CheckConstraint("(outcome IS NULL) = (ended_at IS NULL)", name="ended_at"),
    CheckConstraint("outcome <> 'not_called' OR called_at IS NULL", name="not_called"),
)

sms_slots = Table(
    "sms_slots",
    metadata,
    # One row per number: who has it, and since when. Taking it is one conditional upsert, so there is no moment between
    # looking and taking.
    Column("recipient", Text, primary_key=True),
    Column("message_id", ForeignKey("messages.id"), nullable=False),
    instant("taken_at"),
)

message_counts = Table(
    "message_counts",
    metadata,
    Column("what", Text, primary_key=True),
    Column("message_id", ForeignKey("messages.id"), primary_key=True),
    Column(
        "ref", Text, primary_key=True
    ),  # the attempt, or the provider's id: the same cause is counted once
    instant("at"),
    one_of("what", Counted, "what"),
)

delivery_reports = Table(
    "delivery_reports",
    metadata,
    # What became of an SMS is read off here, by its provider's id. Copied into the message it would need both to be known, and a
    # report that comes while the answer to the send is being written would find neither.
    Column("event_id", Text, primary_key=True),  # stable across Mobizon's ten attempts
    Column("provider_message_id", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("deliveries", Integer, nullable=False, server_default="1"),
    instant("received_at"),
    Index(None, "provider_message_id"),
    one_of("status", Delivered, "status"),
    CheckConstraint("deliveries > 0", name="deliveries"),
)
