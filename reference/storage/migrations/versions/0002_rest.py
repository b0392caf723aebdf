"""Deals, session claims, settlements, Stripe's events."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002_rest"
down_revision: str | None = "0001_purchase"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "checkout_inbox",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=True),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("deliveries", sa.Integer(), server_default="1", nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("done_at", sa.BigInteger(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.CheckConstraint("provider IN ('stripe')", name=op.f("ck_checkout_inbox_provider")),
        sa.CheckConstraint("attempts >= 0", name=op.f("ck_checkout_inbox_attempts")),
        sa.CheckConstraint("deliveries > 0", name=op.f("ck_checkout_inbox_deliveries")),
        sa.PrimaryKeyConstraint("provider", "event_type", "object_id", name=op.f("pk_checkout_inbox")),
    )
    op.create_index(
        "ix_checkout_inbox_due",
        "checkout_inbox",
        ["next_at"],
        unique=False,
        sqlite_where=sa.text("done_at IS NULL"),
        postgresql_where=sa.text("done_at IS NULL"),
    )
    op.create_table(
        "deals",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("title", sa.Text(), server_default="", nullable=False),
        sa.Column("status", sa.Text(), server_default="open", nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), server_default="EUR", nullable=False),
        sa.Column("close_date", sa.BigInteger(), nullable=False),
        sa.Column("schedule", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("schedule IN ('50/50', 'single')", name=op.f("ck_deals_schedule")),
        sa.CheckConstraint("status IN ('open', 'won', 'lost', 'deleted')", name=op.f("ck_deals_status")),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_deals_amount")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_deals_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deals")),
    )
    op.create_table(
        "refund_queue",
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("deal_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("returned_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("kind IN ('deposit', 'rest', 'single')", name=op.f("ck_refund_queue_kind")),
        sa.CheckConstraint(
            "why IN ('settled_already', 'wrong_amount', 'unknown_session')", name=op.f("ck_refund_queue_why")
        ),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_refund_queue_amount")),
        sa.ForeignKeyConstraint(["deal_id"], ["deals.id"], name=op.f("fk_refund_queue_deal_id")),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_refund_queue")),
    )
    op.create_table(
        "session_claims",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("deal_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), server_default="claimed", nullable=False),
        sa.Column("closed_why", sa.Text(), nullable=True),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("request_body", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.Text(), nullable=False),
        sa.Column("session_id", sa.Text(), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("received_minor", sa.BigInteger(), nullable=True),
        sa.Column("received_currency", sa.Text(), nullable=True),
        sa.Column("claimed_at", sa.BigInteger(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=True),
        sa.Column("checked_at", sa.BigInteger(), nullable=True),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("fence", sa.Integer(), server_default="0", nullable=False),
        sa.CheckConstraint(
            "(state IN ('expired', 'failed')) = (closed_why IS NOT NULL)",
            name=op.f("ck_session_claims_closed_says_why"),
        ),
        sa.CheckConstraint(
            "closed_why IN ('session_expired', 'never_created', 'payment_failed', 'refused', 'wrong_amount')",
            name=op.f("ck_session_claims_closed_why"),
        ),
        sa.CheckConstraint("kind IN ('deposit', 'rest', 'single')", name=op.f("ck_session_claims_kind")),
        sa.CheckConstraint(
            "received_minor IS NULL OR state IN ('paid', 'failed')", name=op.f("ck_session_claims_received")
        ),
        sa.CheckConstraint(
            "state <> 'claimed' OR session_id IS NULL", name=op.f("ck_session_claims_claimed_has_no_name")
        ),
        sa.CheckConstraint(
            "state <> 'paid' OR received_minor IS NOT NULL", name=op.f("ck_session_claims_paid_says_how_much")
        ),
        sa.CheckConstraint(
            "state IN ('claimed', 'open', 'processing', 'paid', 'expired', 'failed')",
            name=op.f("ck_session_claims_state"),
        ),
        sa.CheckConstraint(
            "state NOT IN ('open', 'processing', 'paid') OR session_id IS NOT NULL",
            name=op.f("ck_session_claims_open_has_a_name"),
        ),
        sa.CheckConstraint(
            "(received_minor IS NULL) = (received_currency IS NULL)",
            name=op.f("ck_session_claims_received_what"),
        ),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_session_claims_amount")),
        sa.CheckConstraint("generation > 0 AND fence >= 0", name=op.f("ck_session_claims_counters")),
        sa.ForeignKeyConstraint(["deal_id"], ["deals.id"], name=op.f("fk_session_claims_deal_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_session_claims")),
        sa.UniqueConstraint(
            "deal_id", "kind", "generation", name=op.f("uq_session_claims_deal_id_kind_generation")
        ),
        sa.UniqueConstraint("idempotency_key", name=op.f("uq_session_claims_idempotency_key")),
        sa.UniqueConstraint("session_id", name=op.f("uq_session_claims_session_id")),
    )
    op.create_index(
        "uq_session_claims_live",
        "session_claims",
        ["deal_id", "kind"],
        unique=True,
        sqlite_where=sa.text("state IN ('claimed', 'open', 'processing')"),
        postgresql_where=sa.text("state IN ('claimed', 'open', 'processing')"),
    )
    op.create_table(
        "reminders",
        sa.Column("deal_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("slot", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("slot IN ('link', 'expiring', 'paid', 'refund')", name=op.f("ck_reminders_slot")),
        sa.ForeignKeyConstraint(
            ["deal_id", "kind", "generation"],
            ["session_claims.deal_id", "session_claims.kind", "session_claims.generation"],
            name=op.f("fk_reminders_deal_id_kind_generation"),
        ),
        sa.PrimaryKeyConstraint("deal_id", "kind", "generation", "slot", name=op.f("pk_reminders")),
    )
    op.create_table(
        "settlements",
        sa.Column("deal_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("settled_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("kind IN ('deposit', 'rest', 'single')", name=op.f("ck_settlements_kind")),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_settlements_amount")),
        sa.ForeignKeyConstraint(["deal_id"], ["deals.id"], name=op.f("fk_settlements_deal_id")),
        sa.ForeignKeyConstraint(
            ["session_id"], ["session_claims.session_id"], name=op.f("fk_settlements_session_id")
        ),
        sa.PrimaryKeyConstraint("deal_id", "kind", name=op.f("pk_settlements")),
        sa.UniqueConstraint("session_id", name=op.f("uq_settlements_session_id")),
    )
