"""The tables of the ticket flow; like those of the purchase flow, their constraints carry the invariants.

The gate is the primary key of ``award_decisions``: whoever inserts the decision about an order in a contest writes its tickets, in the
same transaction, and everybody else finds it made. The keys of the ledger say the same once more, line by line, so that a flow
with a mistake in it fails instead of giving twice.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
    true,
)

from reference.model_tickets import AwardOutcome, AwardWhy, ReferralVerdict, RefEventStatus, TicketReason
from reference.storage.schema import instant, metadata, one_of

contests = Table(
    "contests",
    metadata,
    Column("id", Text, primary_key=True),
    instant("starts_at"),
    instant("ends_at"),  # the first second that is outside
    Column("attribution_window_days", Integer, nullable=False),
    Column("is_active", Boolean, nullable=False, server_default=true()),
    CheckConstraint("starts_at > 0 AND ends_at > starts_at", name="period"),
    CheckConstraint("attribution_window_days > 0", name="window"),
)

contest_tickets = Table(
    "contest_tickets",
    metadata,
    # Per contest and not on the tariff: terms are fixed when a contest opens, a tariff may be edited at any time.
    Column("contest_id", ForeignKey("contests.id"), primary_key=True),
    Column("tariff_id", ForeignKey("tariffs.id"), primary_key=True),
    Column("tickets", Integer, nullable=False),
    CheckConstraint("tickets > 0", name="tickets"),
)

user_referrals = Table(
    "user_referrals",
    metadata,
    Column("referred_id", ForeignKey("users.id"), primary_key=True),  # the first invitation stands
    Column("referrer_id", ForeignKey("users.id"), nullable=False),
    instant("bound_at"),
    CheckConstraint("referrer_id <> referred_id", name="somebody_else"),
)

award_decisions = Table(
    "award_decisions",
    metadata,
    Column("order_id", ForeignKey("payments.id"), primary_key=True),
    Column("contest_id", ForeignKey("contests.id"), primary_key=True),
    Column("buyer_id", ForeignKey("users.id"), nullable=False),
    Column("outcome", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("tickets", Integer, nullable=False),
    Column("referral", Text, nullable=False),
    Column("referrer_id", ForeignKey("users.id")),
    instant("decided_at"),
    one_of("outcome", AwardOutcome, "outcome"),
    one_of("why", AwardWhy, "why"),
    one_of("referral", ReferralVerdict, "referral"),
    CheckConstraint("(outcome = 'awarded') = (why = 'in_period')", name="reason"),
    CheckConstraint("(outcome = 'awarded') = (tickets > 0) AND tickets >= 0", name="tickets"),
    CheckConstraint("(outcome = 'awarded') = (referral <> 'not_asked')", name="asked"),
    CheckConstraint("(referral = 'qualified') = (referrer_id IS NOT NULL)", name="referrer"),
)

ticket_ledger = Table(
    "ticket_ledger",
    metadata,
    Column("id", Text, primary_key=True),  # 'ticket:<contest>:<order>:<reason>:<beneficiary>'
    Column("contest_id", Text, nullable=False),
    Column("order_id", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("beneficiary_id", ForeignKey("users.id"), nullable=False),
    Column("buyer_id", ForeignKey("users.id"), nullable=False),
    Column("delta", Integer, nullable=False),
    Column("reverses", ForeignKey("ticket_ledger.id"), unique=True),
    instant("created_at"),
    UniqueConstraint("contest_id", "order_id", "reason", "beneficiary_id"),
    # No ticket without a decision that it follows from.
    ForeignKeyConstraint(
        ["order_id", "contest_id"], ["award_decisions.order_id", "award_decisions.contest_id"]
    ),
    # A friend is brought once. Two first payments of one second are told apart by nothing else.
    Index(
        "uq_ticket_ledger_invitee",
        "contest_id",
        "buyer_id",
        unique=True,
        sqlite_where=text("reason = 'INVITEE_PAYMENT'"),
        postgresql_where=text("reason = 'INVITEE_PAYMENT'"),
    ),
    one_of("reason", TicketReason, "reason"),
    CheckConstraint(
        "id = 'ticket:' || contest_id || ':' || order_id || ':' || reason || ':' || beneficiary_id",
        name="one_id_per_award",
    ),
    CheckConstraint("(reason = 'REVERSAL') = (reverses IS NOT NULL)", name="reverses"),
    CheckConstraint("(reason = 'REVERSAL') = (delta < 0) AND delta <> 0", name="sign"),
    CheckConstraint("reason <> 'SELF_PURCHASE' OR beneficiary_id = buyer_id", name="to_the_buyer"),
    CheckConstraint("reason <> 'INVITEE_PAYMENT' OR beneficiary_id <> buyer_id", name="to_somebody_else"),
)

ref_events = Table(
    "ref_events",
    metadata,
    Column("contest_id", ForeignKey("contests.id"), primary_key=True),
    Column("referrer_id", ForeignKey("users.id"), primary_key=True),
    Column("referred_id", ForeignKey("users.id"), primary_key=True),
    Column("status", Text, nullable=False),
    instant("bound_at"),
    instant("qualified_at", nullable=True),
    one_of("status", RefEventStatus, "status"),
    CheckConstraint("(status = 'bound') = (qualified_at IS NULL)", name="qualified_at"),
    CheckConstraint("referrer_id <> referred_id", name="somebody_else"),
)
