"""The tables of deals and their payments, beside those of the purchase flow; the constraints carry the invariants here too.

Two of them carry nearly everything. `uq_session_claims_live`: of a deal and kind at most one claim is one by which money can
still come. The primary key of `settlements`: of a deal and kind one payment counts, whatever else was paid.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
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
)

from reference.model_rest import (
    LIVE,
    ClaimState,
    ClosedWhy,
    DealStatus,
    PaymentKind,
    Schedule,
    Slot,
    SurplusWhy,
)
from reference.storage.schema import instant, metadata, one_of, taken_in_turn

_LIVE_STATES = ", ".join(repr(state.value) for state in LIVE)

deals = Table(
    "deals",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),  # the CRM's
    Column("title", Text, nullable=False, server_default=""),
    Column("status", Text, nullable=False, server_default=DealStatus.OPEN),
    Column("user_id", ForeignKey("users.id"), nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False, server_default="EUR"),
    instant("close_date"),
    Column("schedule", Text, nullable=False),
    Column(
        "version", BigInteger, nullable=False, server_default="1"
    ),  # the CRM's; its webhooks overtake each other
    instant("created_at"),
    instant("updated_at"),
    one_of("status", DealStatus, "status"),
    one_of("schedule", Schedule, "schedule"),
    CheckConstraint("amount_minor > 0", name="amount"),
)

session_claims = Table(
    "session_claims",
    metadata,
    Column("id", Text, primary_key=True),  # '<kind>:<deal>:g<generation>'
    Column("deal_id", ForeignKey("deals.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("state", Text, nullable=False, server_default=ClaimState.CLAIMED),
    Column("closed_why", Text),
    # What is asked of Stripe, frozen; the columns say the same as the body, for whoever reads the table.
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    instant("expires_at"),
    Column("idempotency_key", Text, nullable=False, unique=True),
    Column("request_body", Text, nullable=False),
    Column("request_hash", Text, nullable=False),
    # What came of it.
    Column("session_id", Text, unique=True),
    Column("url", Text),
    Column("received_minor", BigInteger),
    Column("received_currency", Text),
    instant("claimed_at"),
    instant("opened_at", nullable=True),
    instant("checked_at", nullable=True),  # when its session was last asked about: who waits longest is next
    instant("closed_at", nullable=True),
    instant("lease_until", nullable=True),
    Column("fence", Integer, nullable=False, server_default="0"),
    UniqueConstraint("deal_id", "kind", "generation"),
    # FOR UPDATE over rows that do not exist locks nothing: this is what two creators meet in.
    Index(
        "uq_session_claims_live",
        "deal_id",
        "kind",
        unique=True,
        sqlite_where=text(f"state IN ({_LIVE_STATES})"),
        postgresql_where=text(f"state IN ({_LIVE_STATES})"),
    ),
    one_of("kind", PaymentKind, "kind"),
    one_of("state", ClaimState, "state"),
    one_of("closed_why", ClosedWhy, "closed_why"),
    CheckConstraint("generation > 0 AND fence >= 0", name="counters"),
    CheckConstraint("amount_minor > 0", name="amount"),
    CheckConstraint("state <> 'claimed' OR session_id IS NULL", name="claimed_has_no_name"),
    CheckConstraint(
        "state NOT IN ('open', 'processing', 'paid') OR session_id IS NOT NULL", name="open_has_a_name"
    ),
    CheckConstraint("(state IN ('expired', 'failed')) = (closed_why IS NOT NULL)", name="closed_says_why"),
    CheckConstraint("state <> 'paid' OR received_minor IS NOT NULL", name="paid_says_how_much"),
    CheckConstraint("received_minor IS NULL OR state IN ('paid', 'failed')", name="received"),
    CheckConstraint("(received_minor IS NULL) = (received_currency IS NULL)", name="received_what"),
)

settlements = Table(
    "settlements",
    metadata,
    Column("deal_id", ForeignKey("deals.id"), primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("session_id", ForeignKey("session_claims.session_id"), nullable=False, unique=True),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    instant("settled_at"),
    one_of("kind", PaymentKind, "kind"),
    CheckConstraint("amount_minor > 0", name="amount"),
)

refund_queue = Table(
    "refund_queue",
    metadata,
    # Not a foreign key: money may come by a session that carries our reference and is no claim's.
    Column("session_id", Text, primary_key=True),
    Column("deal_id", ForeignKey("deals.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    instant("due_at"),
    instant("returned_at", nullable=True),
    one_of("kind", PaymentKind, "kind"),
    one_of("why", SurplusWhy, "why"),
    CheckConstraint("amount_minor > 0", name="amount"),
)

reminders = Table(
    "reminders",
    metadata,
    Column("deal_id", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", Text, primary_key=True),
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("slot", Text, primary_key=True),
    instant("at"),
    ForeignKeyConstraint(
        ["deal_id", "kind", "generation"],
        ["session_claims.deal_id", "session_claims.kind", "session_claims.generation"],
    ),
    one_of("slot", Slot, "slot"),
)

checkout_inbox = Table(
    "checkout_inbox",
    metadata,
    # Not by event id alone: Stripe sometimes makes two Event objects of one occurrence, and those meet here.
    Column("provider", Text, primary_key=True),
    Column("event_type", Text, primary_key=True),
    Column("object_id", Text, primary_key=True),
    Column("event_id", Text),  # of the first delivery, for whoever looks it up at Stripe
    Column("payload", Text, nullable=False),
    Column("deliveries", Integer, nullable=False, server_default="1"),
    instant("received_at"),
    *taken_in_turn("checkout_inbox"),
    one_of("provider", ("stripe",), "provider"),
    CheckConstraint("deliveries > 0", name="deliveries"),
)
