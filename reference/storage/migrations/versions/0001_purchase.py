"""Users, tariffs, payments, the grant ledger, inbox, outbox, keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001_purchase"
down_revision: str | None = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "attention",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("raised_at", sa.BigInteger(), nullable=False),
        sa.Column("resolved_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_attention")),
    )
    op.create_table(
        "audit",
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("action", "ref", name=op.f("pk_audit")),
    )
    op.create_table(
        "inbox",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("deliveries", sa.Integer(), server_default="1", nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("done_at", sa.BigInteger(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.CheckConstraint("provider IN ('yookassa', 'platega')", name=op.f("ck_inbox_provider")),
        sa.CheckConstraint("attempts >= 0", name=op.f("ck_inbox_attempts")),
        sa.CheckConstraint("deliveries > 0", name=op.f("ck_inbox_deliveries")),
        sa.PrimaryKeyConstraint("provider", "event", "object_id", name=op.f("pk_inbox")),
    )
    op.create_index(
        "ix_inbox_due",
        "inbox",
        ["next_at"],
        unique=False,
        sqlite_where=sa.text("done_at IS NULL"),
        postgresql_where=sa.text("done_at IS NULL"),
    )
    op.create_table(
        "servers",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_servers")),
    )
    op.create_table(
        "tariffs",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("title", sa.Text(), server_default="", nullable=False),
        sa.Column("kind", sa.Text(), server_default="paid", nullable=False),
        sa.Column("price_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), server_default="RUB", nullable=False),
        sa.Column("duration_sec", sa.BigInteger(), nullable=False),
        sa.Column("traffic_limit_mb", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("archived", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.CheckConstraint(
            "(kind = 'free' AND price_minor = 0) OR (kind = 'paid' AND price_minor > 0)",
            name=op.f("ck_tariffs_free_costs_nothing"),
        ),
        sa.CheckConstraint("kind IN ('free', 'paid')", name=op.f("ck_tariffs_kind")),
        sa.CheckConstraint("duration_sec > 0", name=op.f("ck_tariffs_lasts")),
        sa.CheckConstraint("traffic_limit_mb >= 0", name=op.f("ck_tariffs_traffic")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tariffs")),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("vip", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
    )
    op.create_table(
        "subscriptions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("policy", sa.Text(), server_default="normal", nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("tariff_id", sa.Integer(), nullable=True),
        sa.Column("traffic_limit_mb", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("policy IN ('normal', 'vip', 'manual')", name=op.f("ck_subscriptions_policy")),
        sa.CheckConstraint("expires_at >= 0", name=op.f("ck_subscriptions_expires_at")),
        sa.CheckConstraint("traffic_limit_mb >= 0", name=op.f("ck_subscriptions_traffic")),
        sa.ForeignKeyConstraint(["tariff_id"], ["tariffs.id"], name=op.f("fk_subscriptions_tariff_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_subscriptions_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscriptions")),
        sa.UniqueConstraint("token", name=op.f("uq_subscriptions_token")),
    )
    op.create_index(
        "uq_subscriptions_live_user",
        "subscriptions",
        ["user_id"],
        unique=True,
        sqlite_where=sa.text("is_active"),
        postgresql_where=sa.text("is_active"),
    )
    op.create_table(
        "payments",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("create_key", sa.Text(), nullable=False),
        sa.Column("create_body", sa.Text(), server_default="{}", nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("provider_payment_id", sa.Text(), nullable=True),
        sa.Column("confirmation_url", sa.Text(), nullable=True),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("tariff_id", sa.Integer(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), server_default="RUB", nullable=False),
        sa.Column("duration_sec", sa.BigInteger(), nullable=False),
        sa.Column("traffic_limit_mb", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("target_subscription_id", sa.Text(), nullable=True),
        sa.Column("subscription_id", sa.Text(), nullable=True),
        sa.Column("received_minor", sa.BigInteger(), nullable=True),
        sa.Column("received_currency", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("paid_at", sa.BigInteger(), nullable=True),
        sa.Column("completed_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("provider IN ('yookassa', 'platega')", name=op.f("ck_payments_provider")),
        sa.CheckConstraint(
            "status <> 'completed' OR (subscription_id IS NOT NULL AND completed_at IS NOT NULL)",
            name=op.f("ck_payments_completed_is_linked"),
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'canceled') OR paid_at IS NOT NULL", name=op.f("ck_payments_paid_at")
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'paid', 'completed', 'refund_due', 'refunded', 'charged_back', 'canceled')",
            name=op.f("ck_payments_status"),
        ),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_payments_amount")),
        sa.CheckConstraint("duration_sec > 0", name=op.f("ck_payments_lasts")),
        sa.ForeignKeyConstraint(
            ["subscription_id"], ["subscriptions.id"], name=op.f("fk_payments_subscription_id")
        ),
        sa.ForeignKeyConstraint(
            ["target_subscription_id"], ["subscriptions.id"], name=op.f("fk_payments_target_subscription_id")
        ),
        sa.ForeignKeyConstraint(["tariff_id"], ["tariffs.id"], name=op.f("fk_payments_tariff_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_payments_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payments")),
        sa.UniqueConstraint("create_key", name=op.f("uq_payments_create_key")),
        sa.UniqueConstraint(
            "provider", "provider_payment_id", name=op.f("uq_payments_provider_provider_payment_id")
        ),
    )
    op.create_index(op.f("ix_payments_status"), "payments", ["status"], unique=False)
    op.create_table(
        "subscription_keys",
        sa.Column("subscription_id", sa.Text(), nullable=False),
        sa.Column("server_id", sa.Text(), nullable=False),
        sa.Column("wanted", sa.Text(), nullable=False),
        sa.Column("traffic_limit_mb", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("applied", sa.Integer(), server_default="0", nullable=False),
        sa.CheckConstraint("wanted IN ('present', 'absent')", name=op.f("ck_subscription_keys_wanted")),
        sa.CheckConstraint("applied >= 0 AND applied <= version", name=op.f("ck_subscription_keys_applied")),
        sa.ForeignKeyConstraint(["server_id"], ["servers.id"], name=op.f("fk_subscription_keys_server_id")),
        sa.ForeignKeyConstraint(
            ["subscription_id"], ["subscriptions.id"], name=op.f("fk_subscription_keys_subscription_id")
        ),
        sa.PrimaryKeyConstraint("subscription_id", "server_id", name=op.f("pk_subscription_keys")),
    )
    op.create_table(
        "entitlement_grants",
        sa.Column("grant_key", sa.Text(), nullable=False),
        sa.Column("subscription_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("duration_sec", sa.BigInteger(), nullable=False),
        sa.Column("granted_at", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("reverses", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(kind = 'reversal') = (duration_sec < 0) AND duration_sec <> 0",
            name=op.f("ck_entitlement_grants_sign"),
        ),
        sa.CheckConstraint(
            "(kind = 'reversal') = (reverses IS NOT NULL)", name=op.f("ck_entitlement_grants_reverses")
        ),
        sa.CheckConstraint(
            "(kind IN ('purchase', 'extension')) = (payment_id IS NOT NULL AND reverses IS NULL)",
            name=op.f("ck_entitlement_grants_sold_for_a_payment"),
        ),
        sa.CheckConstraint(
            "kind IN ('purchase', 'extension', 'trial', 'referral', 'gift', 'reversal')",
            name=op.f("ck_entitlement_grants_kind"),
        ),
        sa.CheckConstraint(
            "kind NOT IN ('purchase', 'extension') OR grant_key = 'pay:' || payment_id",
            name=op.f("ck_entitlement_grants_one_key_per_payment"),
        ),
        sa.CheckConstraint("seq > 0", name=op.f("ck_entitlement_grants_seq")),
        sa.ForeignKeyConstraint(
            ["payment_id"], ["payments.id"], name=op.f("fk_entitlement_grants_payment_id")
        ),
        sa.ForeignKeyConstraint(
            ["reverses"], ["entitlement_grants.grant_key"], name=op.f("fk_entitlement_grants_reverses")
        ),
        sa.ForeignKeyConstraint(
            ["subscription_id"],
            ["subscriptions.id"],
            name=op.f("fk_entitlement_grants_subscription_id"),
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_entitlement_grants_user_id")),
        sa.PrimaryKeyConstraint("grant_key", name=op.f("pk_entitlement_grants")),
        sa.UniqueConstraint("reverses", name=op.f("uq_entitlement_grants_reverses")),
        sa.UniqueConstraint("subscription_id", "seq", name=op.f("uq_entitlement_grants_subscription_id_seq")),
    )
    op.create_index(
        op.f("ix_entitlement_grants_payment_id"), "entitlement_grants", ["payment_id"], unique=False
    )
    op.create_table(
        "outbox",
        sa.Column("dedupe_key", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=True),
        sa.Column("subscription_id", sa.Text(), nullable=True),
        sa.Column("payload", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("fence", sa.Integer(), server_default="0", nullable=False),
        sa.Column("done_at", sa.BigInteger(), nullable=True),
        sa.Column("dead_at", sa.BigInteger(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.CheckConstraint("topic <> 'ensure' OR dead_at IS NULL", name=op.f("ck_outbox_ensure_never_dies")),
        sa.CheckConstraint(
            "topic IN ('ensure', 'notice', 'provision', 'reset_traffic', 'award', 'alert', 'rest_offer', 'rest_session', 'rest_withdrawal', 'rest_stranger', 'rest_notice')",
            name=op.f("ck_outbox_topic"),
        ),
        sa.CheckConstraint("attempts >= 0 AND fence >= 0", name=op.f("ck_outbox_counters")),
        sa.CheckConstraint("done_at IS NULL OR dead_at IS NULL", name=op.f("ck_outbox_done_or_dead")),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"], name=op.f("fk_outbox_payment_id")),
        sa.ForeignKeyConstraint(
            ["subscription_id"], ["subscriptions.id"], name=op.f("fk_outbox_subscription_id")
        ),
        sa.PrimaryKeyConstraint("dedupe_key", name=op.f("pk_outbox")),
    )
    op.create_index(
        "ix_outbox_due",
        "outbox",
        ["next_at"],
        unique=False,
        sqlite_where=sa.text("done_at IS NULL AND dead_at IS NULL"),
        postgresql_where=sa.text("done_at IS NULL AND dead_at IS NULL"),
    )
    op.create_table(
        "refunds",
        sa.Column("refund_key", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("returned_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "why IN ('wrong_amount', 'unlimited_already', 'beyond_cap', 'surplus')",
            name=op.f("ck_refunds_why"),
        ),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_refunds_amount")),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"], name=op.f("fk_refunds_payment_id")),
        sa.PrimaryKeyConstraint("refund_key", name=op.f("pk_refunds")),
    )
    op.create_table(
        "traffic_resets",
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("server_id", sa.Text(), nullable=False),
        sa.Column("done_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"], name=op.f("fk_traffic_resets_payment_id")),
        sa.ForeignKeyConstraint(["server_id"], ["servers.id"], name=op.f("fk_traffic_resets_server_id")),
        sa.PrimaryKeyConstraint("payment_id", "server_id", name=op.f("pk_traffic_resets")),
    )
