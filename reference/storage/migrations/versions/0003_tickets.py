"""Contests, decisions, the ticket ledger."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003_tickets"
down_revision: str | None = "0002_rest"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "contests",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("starts_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.Column("attribution_window_days", sa.Integer(), nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.CheckConstraint("attribution_window_days > 0", name=op.f("ck_contests_window")),
        sa.CheckConstraint("starts_at > 0 AND ends_at > starts_at", name=op.f("ck_contests_period")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contests")),
    )
    op.create_table(
        "contest_tickets",
        sa.Column("contest_id", sa.Text(), nullable=False),
        sa.Column("tariff_id", sa.Integer(), nullable=False),
        sa.Column("tickets", sa.Integer(), nullable=False),
        sa.CheckConstraint("tickets > 0", name=op.f("ck_contest_tickets_tickets")),
        sa.ForeignKeyConstraint(["contest_id"], ["contests.id"], name=op.f("fk_contest_tickets_contest_id")),
        sa.ForeignKeyConstraint(["tariff_id"], ["tariffs.id"], name=op.f("fk_contest_tickets_tariff_id")),
        sa.PrimaryKeyConstraint("contest_id", "tariff_id", name=op.f("pk_contest_tickets")),
    )
    op.create_table(
        "ref_events",
        sa.Column("contest_id", sa.Text(), nullable=False),
        sa.Column("referrer_id", sa.BigInteger(), nullable=False),
        sa.Column("referred_id", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("bound_at", sa.BigInteger(), nullable=False),
        sa.Column("qualified_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "(status = 'bound') = (qualified_at IS NULL)", name=op.f("ck_ref_events_qualified_at")
        ),
        sa.CheckConstraint("status IN ('bound', 'qualified', 'revoked')", name=op.f("ck_ref_events_status")),
        sa.CheckConstraint("referrer_id <> referred_id", name=op.f("ck_ref_events_somebody_else")),
        sa.ForeignKeyConstraint(["contest_id"], ["contests.id"], name=op.f("fk_ref_events_contest_id")),
        sa.ForeignKeyConstraint(["referred_id"], ["users.id"], name=op.f("fk_ref_events_referred_id")),
        sa.ForeignKeyConstraint(["referrer_id"], ["users.id"], name=op.f("fk_ref_events_referrer_id")),
        sa.PrimaryKeyConstraint("contest_id", "referrer_id", "referred_id", name=op.f("pk_ref_events")),
    )
    op.create_table(
        "user_referrals",
        sa.Column("referred_id", sa.BigInteger(), nullable=False),
        sa.Column("referrer_id", sa.BigInteger(), nullable=False),
        sa.Column("bound_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("referrer_id <> referred_id", name=op.f("ck_user_referrals_somebody_else")),
        sa.ForeignKeyConstraint(["referred_id"], ["users.id"], name=op.f("fk_user_referrals_referred_id")),
        sa.ForeignKeyConstraint(["referrer_id"], ["users.id"], name=op.f("fk_user_referrals_referrer_id")),
        sa.PrimaryKeyConstraint("referred_id", name=op.f("pk_user_referrals")),
    )
    op.create_table(
        "award_decisions",
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("contest_id", sa.Text(), nullable=False),
        sa.Column("buyer_id", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("tickets", sa.Integer(), nullable=False),
        sa.Column("referral", sa.Text(), nullable=False),
        sa.Column("referrer_id", sa.BigInteger(), nullable=True),
        sa.Column("decided_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "(outcome = 'awarded') = (referral <> 'not_asked')", name=op.f("ck_award_decisions_asked")
        ),
        sa.CheckConstraint(
            "(outcome = 'awarded') = (tickets > 0) AND tickets >= 0", name=op.f("ck_award_decisions_tickets")
        ),
        sa.CheckConstraint(
            "(outcome = 'awarded') = (why = 'in_period')", name=op.f("ck_award_decisions_reason")
        ),
        sa.CheckConstraint(
            "(referral = 'qualified') = (referrer_id IS NOT NULL)", name=op.f("ck_award_decisions_referrer")
        ),
        sa.CheckConstraint("outcome IN ('awarded', 'not_eligible')", name=op.f("ck_award_decisions_outcome")),
        sa.CheckConstraint(
            "referral IN ('qualified', 'not_asked', 'no_referral', 'self_referral', 'bound_after_order', 'window_over', 'not_first_payment', 'counted_already')",
            name=op.f("ck_award_decisions_referral"),
        ),
        sa.CheckConstraint(
            "why IN ('in_period', 'outside_period', 'no_order_date', 'no_tickets', 'money_back')",
            name=op.f("ck_award_decisions_why"),
        ),
        sa.ForeignKeyConstraint(["buyer_id"], ["users.id"], name=op.f("fk_award_decisions_buyer_id")),
        sa.ForeignKeyConstraint(["contest_id"], ["contests.id"], name=op.f("fk_award_decisions_contest_id")),
        sa.ForeignKeyConstraint(["order_id"], ["payments.id"], name=op.f("fk_award_decisions_order_id")),
        sa.ForeignKeyConstraint(["referrer_id"], ["users.id"], name=op.f("fk_award_decisions_referrer_id")),
        sa.PrimaryKeyConstraint("order_id", "contest_id", name=op.f("pk_award_decisions")),
    )
    op.create_table(
        "ticket_ledger",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("contest_id", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("beneficiary_id", sa.BigInteger(), nullable=False),
        sa.Column("buyer_id", sa.BigInteger(), nullable=False),
        sa.Column("delta", sa.Integer(), nullable=False),
        sa.Column("reverses", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "(reason = 'REVERSAL') = (delta < 0) AND delta <> 0", name=op.f("ck_ticket_ledger_sign")
        ),
        sa.CheckConstraint(
            "(reason = 'REVERSAL') = (reverses IS NOT NULL)", name=op.f("ck_ticket_ledger_reverses")
        ),
        sa.CheckConstraint(
            "id = 'ticket:' || contest_id || ':' || order_id || ':' || reason || ':' || beneficiary_id",
            name=op.f("ck_ticket_ledger_one_id_per_award"),
        ),
        sa.CheckConstraint(
            "reason <> 'INVITEE_PAYMENT' OR beneficiary_id <> buyer_id",
            name=op.f("ck_ticket_ledger_to_somebody_else"),
        ),
        sa.CheckConstraint(
            "reason <> 'SELF_PURCHASE' OR beneficiary_id = buyer_id",
            name=op.f("ck_ticket_ledger_to_the_buyer"),
        ),
        sa.CheckConstraint(
            "reason IN ('SELF_PURCHASE', 'INVITEE_PAYMENT', 'REVERSAL')", name=op.f("ck_ticket_ledger_reason")
        ),
        sa.ForeignKeyConstraint(
            ["beneficiary_id"], ["users.id"], name=op.f("fk_ticket_ledger_beneficiary_id")
        ),
        sa.ForeignKeyConstraint(["buyer_id"], ["users.id"], name=op.f("fk_ticket_ledger_buyer_id")),
        sa.ForeignKeyConstraint(
            ["order_id", "contest_id"],
            ["award_decisions.order_id", "award_decisions.contest_id"],
            name=op.f("fk_ticket_ledger_order_id_contest_id"),
        ),
        sa.ForeignKeyConstraint(["reverses"], ["ticket_ledger.id"], name=op.f("fk_ticket_ledger_reverses")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ticket_ledger")),
        sa.UniqueConstraint(
            "contest_id",
            "order_id",
            "reason",
            "beneficiary_id",
            name=op.f("uq_ticket_ledger_contest_id_order_id_reason_beneficiary_id"),
        ),
        sa.UniqueConstraint("reverses", name=op.f("uq_ticket_ledger_reverses")),
    )
    op.create_index(
        "uq_ticket_ledger_invitee",
        "ticket_ledger",
        ["contest_id", "buyer_id"],
        unique=True,
        sqlite_where=sa.text("reason = 'INVITEE_PAYMENT'"),
        postgresql_where=sa.text("reason = 'INVITEE_PAYMENT'"),
    )
