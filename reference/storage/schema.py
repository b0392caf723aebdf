"""The tables of the purchase flow, for SQLite and PostgreSQL alike; the constraints carry the invariants.

Whatever must never be true of committed data is refused here, so that a flow with a mistake in it fails instead of writing.
What a constraint cannot say (a sum, a fold, "a job exists") is in `reference.invariants`.

Times are unix seconds in UTC, money is in minor units. Keys are natural or derived from what caused the row, so that two
attempts at the same effect meet in the same key, and so that a replayed run writes the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
    true,
)
from sqlalchemy.schema import SchemaItem

from reference.model import (
    GrantKind,
    PaymentStatus,
    Provider,
    RefundWhy,
    SubscriptionPolicy,
    TariffKind,
    Topic,
)
from reference.storage.engine import TrioEngine

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def one_of(column: str, words: type[StrEnum] | Iterable[str], name: str) -> CheckConstraint:
    """The column holds one of these words."""
    return CheckConstraint(f"{column} IN ({', '.join(repr(str(word)) for word in words)})", name=name)


def instant(name: str, *, nullable: bool = False) -> Column[int]:
    """A column of unix seconds."""
    return Column(name, BigInteger, nullable=nullable)


def taken_in_turn(table: str) -> tuple[SchemaItem, ...]:
    """The columns by which `reference.flows.inbox_rows` makes an inbox a queue, and the index over what waits in it."""
    waiting = text("done_at IS NULL")
    return (
        Column("attempts", Integer, nullable=False, server_default="0"),
        Column("next_at", BigInteger, nullable=False, server_default="0"),
        instant("done_at", nullable=True),
        Column("outcome", Text),
        Index(f"ix_{table}_due", "next_at", sqlite_where=waiting, postgresql_where=waiting),
        CheckConstraint("attempts >= 0", name="attempts"),
    )


users = Table(
    "users",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),  # Telegram's id
    Column("vip", Boolean, nullable=False, server_default=false()),
)

tariffs = Table(
    "tariffs",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("title", Text, nullable=False, server_default=""),
    Column("kind", Text, nullable=False, server_default=TariffKind.PAID),
    Column("price_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False, server_default="RUB"),
    Column("duration_sec", BigInteger, nullable=False),
    Column("traffic_limit_mb", BigInteger, nullable=False, server_default="0"),  # 0 is unlimited
    Column("archived", Boolean, nullable=False, server_default=false()),
    one_of("kind", TariffKind, "kind"),
    CheckConstraint(
        "(kind = 'free' AND price_minor = 0) OR (kind = 'paid' AND price_minor > 0)",
        name="free_costs_nothing",
    ),
    CheckConstraint("duration_sec > 0", name="lasts"),
    CheckConstraint("traffic_limit_mb >= 0", name="traffic"),
)

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("id", Text, primary_key=True),  # 'sub:' + the key of the grant that opened it
    Column("user_id", ForeignKey("users.id"), nullable=False),
    Column("token", Text, nullable=False, unique=True),
    instant("expires_at"),
    Column("policy", Text, nullable=False, server_default=SubscriptionPolicy.NORMAL),
    Column("is_active", Boolean, nullable=False, server_default=true()),
    Column("tariff_id", ForeignKey("tariffs.id")),
    Column("traffic_limit_mb", BigInteger, nullable=False, server_default="0"),
    instant("created_at"),
    instant("updated_at"),
    one_of("policy", SubscriptionPolicy, "policy"),
    CheckConstraint("expires_at >= 0", name="expires_at"),
    CheckConstraint("traffic_limit_mb >= 0", name="traffic"),
    # Not unique by user alone: a closed subscription keeps its row, its keys and its grants.
    Index(
        "uq_subscriptions_live_user",
        "user_id",
        unique=True,
        sqlite_where=text("is_active"),
        postgresql_where=text("is_active"),
    ),
)

payments = Table(
    "payments",
    metadata,
    Column("id", Text, primary_key=True),  # derived from create_key
    Column(
        "create_key", Text, nullable=False, unique=True
    ),  # the buyer's "once": a double tap brings the same one
    Column(
        "create_body", Text, nullable=False, server_default="{}"
    ),  # frozen: a retry must send it byte for byte
    Column("provider", Text, nullable=False),
    Column("provider_payment_id", Text),
    Column("confirmation_url", Text),
    Column("user_id", ForeignKey("users.id"), nullable=False),
    Column("tariff_id", ForeignKey("tariffs.id"), nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False, server_default="RUB"),
    Column("duration_sec", BigInteger, nullable=False),
    Column("traffic_limit_mb", BigInteger, nullable=False, server_default="0"),
    Column("status", Text, nullable=False, server_default=PaymentStatus.PENDING),
    Column("target_subscription_id", ForeignKey("subscriptions.id")),  # what the buyer saw when they bought
    Column("subscription_id", ForeignKey("subscriptions.id")),  # what the money went to
    Column("received_minor", BigInteger),
    Column("received_currency", Text),
    instant("created_at"),
    instant("paid_at", nullable=True),
    instant("completed_at", nullable=True),
    UniqueConstraint("provider", "provider_payment_id"),
    Index(None, "status"),
    one_of("provider", Provider, "provider"),
    one_of("status", PaymentStatus, "status"),
    CheckConstraint("amount_minor > 0", name="amount"),
    CheckConstraint("duration_sec > 0", name="lasts"),
    CheckConstraint(
        "status <> 'completed' OR (subscription_id IS NOT NULL AND completed_at IS NOT NULL)",
        name="completed_is_linked",
    ),
    CheckConstraint("status IN ('pending', 'canceled') OR paid_at IS NOT NULL", name="paid_at"),
)

entitlement_grants = Table(
    "entitlement_grants",
    metadata,
    Column("grant_key", Text, primary_key=True),  # 'pay:<payment>', 'trial:<user>', 'reversal:<payment>' ...
    # Deferred: the grant decides whether anything happens, so it comes before the subscription that it may open.
    Column(
        "subscription_id",
        ForeignKey("subscriptions.id", deferrable=True, initially="DEFERRED"),
        nullable=False,
    ),
    Column("user_id", ForeignKey("users.id"), nullable=False),
    Column("payment_id", ForeignKey("payments.id")),
    Column("kind", Text, nullable=False),
    Column("duration_sec", BigInteger, nullable=False),
    instant("granted_at"),
    Column("seq", Integer, nullable=False),
    Column("reverses", ForeignKey("entitlement_grants.grant_key"), unique=True),
    UniqueConstraint("subscription_id", "seq"),
    Index(None, "payment_id"),
    one_of("kind", GrantKind, "kind"),
    CheckConstraint(
        "(kind IN ('purchase', 'extension')) = (payment_id IS NOT NULL AND reverses IS NULL)",
        name="sold_for_a_payment",
    ),
    CheckConstraint(
        "kind NOT IN ('purchase', 'extension') OR grant_key = 'pay:' || payment_id",
        name="one_key_per_payment",
    ),
    CheckConstraint("(kind = 'reversal') = (reverses IS NOT NULL)", name="reverses"),
    CheckConstraint("(kind = 'reversal') = (duration_sec < 0) AND duration_sec <> 0", name="sign"),
    CheckConstraint("seq > 0", name="seq"),
)

refunds = Table(
    "refunds",
    metadata,
    Column(
        "refund_key", Text, primary_key=True
    ),  # 'refund:<payment>' or 'surplus:<provider>:<provider payment>'
    Column("payment_id", ForeignKey("payments.id"), nullable=False),
    Column("why", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),  # what arrived, which may not be what was asked
    Column("currency", Text, nullable=False),
    instant("due_at"),
    instant("returned_at", nullable=True),
    one_of("why", RefundWhy, "why"),
    CheckConstraint("amount_minor > 0", name="amount"),
)

inbox = Table(
    "inbox",
    metadata,
    # Neither provider sends an event id, so this is all the identity that a notification has.
    Column("provider", Text, primary_key=True),
    Column("event", Text, primary_key=True),
    Column("object_id", Text, primary_key=True),
    Column("payload", Text, nullable=False),
    Column("deliveries", Integer, nullable=False, server_default="1"),
    instant("received_at"),
    *taken_in_turn("inbox"),
    one_of("provider", Provider, "provider"),
    CheckConstraint("deliveries > 0", name="deliveries"),
)

outbox = Table(
    "outbox",
    metadata,
    Column(
        "dedupe_key", Text, primary_key=True
    ),  # '<topic>:<payment>': one effect, however often it is asked for
    Column("topic", Text, nullable=False),
    Column("payment_id", ForeignKey("payments.id")),
    Column("subscription_id", ForeignKey("subscriptions.id")),
    Column("payload", Text, nullable=False, server_default=""),
    instant("created_at"),
    instant("next_at"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    instant("lease_until", nullable=True),
    Column("fence", Integer, nullable=False, server_default="0"),
    instant("done_at", nullable=True),
    instant("dead_at", nullable=True),
    Column("last_error", Text),
    Index(
        "ix_outbox_due",
        "next_at",
        sqlite_where=text("done_at IS NULL AND dead_at IS NULL"),
        postgresql_where=text("done_at IS NULL AND dead_at IS NULL"),
    ),
    one_of("topic", Topic, "topic"),
    CheckConstraint("done_at IS NULL OR dead_at IS NULL", name="done_or_dead"),
    # A payment that is paid for must always have a job that will come back to it: this one is never given up.
    CheckConstraint("topic <> 'ensure' OR dead_at IS NULL", name="ensure_never_dies"),
    CheckConstraint("attempts >= 0 AND fence >= 0", name="counters"),
)

servers = Table(
    "servers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("active", Boolean, nullable=False, server_default=true()),
)

subscription_keys = Table(
    "subscription_keys",
    metadata,
    Column("subscription_id", ForeignKey("subscriptions.id"), primary_key=True),
    Column("server_id", ForeignKey("servers.id"), primary_key=True),
    Column("wanted", Text, nullable=False),
    Column("traffic_limit_mb", BigInteger, nullable=False, server_default="0"),
    Column(
        "version", Integer, nullable=False, server_default="1"
    ),  # grows with each change of what is wanted
    Column(
        "applied", Integer, nullable=False, server_default="0"
    ),  # the version that the server has confirmed
    one_of("wanted", ("present", "absent"), "wanted"),
    CheckConstraint("applied >= 0 AND applied <= version", name="applied"),
)

traffic_resets = Table(
    "traffic_resets",
    metadata,
    Column("payment_id", ForeignKey("payments.id"), primary_key=True),
    Column("server_id", ForeignKey("servers.id"), primary_key=True),
    instant("done_at"),
)

attention = Table(
    "attention",
    metadata,
    Column(
        "subject", Text, primary_key=True
    ),  # 'payment:<id>', 'inbox:<provider>:<event>:<object>', 'outbox:<key>'
    Column("why", Text, nullable=False),
    instant("raised_at"),
    instant("resolved_at", nullable=True),
)

audit = Table(
    "audit",
    metadata,
    Column("action", Text, primary_key=True),
    Column("ref", Text, primary_key=True),
    Column("actor", Text, nullable=False),
    Column("detail", Text, nullable=False, server_default=""),
    instant("at"),
)


async def create_tables(engine: TrioEngine) -> None:
    """Create what is missing, in one transaction; migrations of existing tables are not this function's business."""
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
