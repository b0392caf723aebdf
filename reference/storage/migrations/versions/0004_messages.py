"""Leads and their messages."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004_messages"
down_revision: str | None = "0003_tickets"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "delivery_reports",
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("provider_message_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("deliveries", sa.Integer(), server_default="1", nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("status IN ('delivered', 'undelivered')", name=op.f("ck_delivery_reports_status")),
        sa.CheckConstraint("deliveries > 0", name=op.f("ck_delivery_reports_deliveries")),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_delivery_reports")),
    )
    op.create_index(
        op.f("ix_delivery_reports_provider_message_id"),
        "delivery_reports",
        ["provider_message_id"],
        unique=False,
    )
    op.create_table(
        "landing_leads",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("phone", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("answers", sa.Text(), nullable=False),
        sa.Column("submits", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("phone <> '' AND email <> ''", name=op.f("ck_landing_leads_contact")),
        sa.CheckConstraint("submits > 0", name=op.f("ck_landing_leads_submits")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_landing_leads")),
    )
    op.create_table(
        "messages",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("lead_id", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("template", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), server_default="", nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("client_ref", sa.Text(), nullable=False),
        sa.Column("promise", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="pending", nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("fence", sa.Integer(), server_default="0", nullable=False),
        sa.Column("called_at", sa.BigInteger(), nullable=True),
        sa.Column("look_at", sa.BigInteger(), nullable=True),
        sa.Column("lookups", sa.Integer(), server_default="0", nullable=False),
        sa.Column("provider_message_id", sa.Text(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("(state = 'sending') = (lease_until IS NOT NULL)", name=op.f("ck_messages_lease")),
        sa.CheckConstraint(
            "(state = 'sent') = (provider_message_id IS NOT NULL)",
            name=op.f("ck_messages_sent_by_their_word"),
        ),
        sa.CheckConstraint("(state = 'sent') = (sent_at IS NOT NULL)", name=op.f("ck_messages_sent_at")),
        sa.CheckConstraint(
            "(state IN ('sending', 'unknown')) = (look_at IS NOT NULL)",
            name=op.f("ck_messages_in_limbo_until"),
        ),
        sa.CheckConstraint("channel IN ('sms', 'email')", name=op.f("ck_messages_channel")),
        sa.CheckConstraint("promise IN ('at_most', 'at_least')", name=op.f("ck_messages_promise")),
        sa.CheckConstraint(
            "state <> 'unknown' OR called_at IS NOT NULL", name=op.f("ck_messages_unknown_was_called")
        ),
        sa.CheckConstraint(
            "state IN ('pending', 'sending', 'sent', 'unknown', 'failed', 'cancelled')",
            name=op.f("ck_messages_state"),
        ),
        sa.CheckConstraint("template IN ('proftest_result')", name=op.f("ck_messages_template")),
        sa.CheckConstraint(
            "attempts >= 0 AND fence >= attempts AND lookups >= 0", name=op.f("ck_messages_counters")
        ),
        sa.ForeignKeyConstraint(["lead_id"], ["landing_leads.id"], name=op.f("fk_messages_lead_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_messages")),
        sa.UniqueConstraint(
            "channel", "provider_message_id", name=op.f("uq_messages_channel_provider_message_id")
        ),
        sa.UniqueConstraint("client_ref", name=op.f("uq_messages_client_ref")),
        sa.UniqueConstraint(
            "lead_id", "channel", "template", name=op.f("uq_messages_lead_id_channel_template")
        ),
    )
    op.create_index(
        "ix_messages_due",
        "messages",
        ["due_at"],
        unique=False,
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index(
        "ix_messages_look",
        "messages",
        ["look_at"],
        unique=False,
        sqlite_where=sa.text("state IN ('sending', 'unknown')"),
        postgresql_where=sa.text("state IN ('sending', 'unknown')"),
    )
    op.create_table(
        "message_attempts",
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("called_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "outcome <> 'not_called' OR called_at IS NULL", name=op.f("ck_message_attempts_not_called")
        ),
        sa.CheckConstraint(
            "outcome IN ('accepted', 'refused', 'not_called', 'not_taken', 'unknown', 'found', 'not_found', 'repeated')",
            name=op.f("ck_message_attempts_outcome"),
        ),
        sa.CheckConstraint(
            "(outcome IS NULL) = (ended_at IS NULL)", name=op.f("ck_message_attempts_ended_at")
        ),
        sa.CheckConstraint("n > 0", name=op.f("ck_message_attempts_n")),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name=op.f("fk_message_attempts_message_id")),
        sa.PrimaryKeyConstraint("message_id", "n", name=op.f("pk_message_attempts")),
    )
    op.create_table(
        "message_counts",
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "what IN ('blocked_duplicate', 'dropped', 'sent_again', 'late_accept', 'sent_twice')",
            name=op.f("ck_message_counts_what"),
        ),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name=op.f("fk_message_counts_message_id")),
        sa.PrimaryKeyConstraint("what", "message_id", "ref", name=op.f("pk_message_counts")),
    )
    op.create_table(
        "sms_slots",
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("taken_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name=op.f("fk_sms_slots_message_id")),
        sa.PrimaryKeyConstraint("recipient", name=op.f("pk_sms_slots")),
    )
