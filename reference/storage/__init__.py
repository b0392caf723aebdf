"""How the reference reaches its database: engine, transactions, tables. It decides nothing about payments."""

from reference.storage import (  # their tables belong to `metadata`, whoever asks for that
    schema_messages,
    schema_rest,
    schema_tickets,
    schema_worker,
)
from reference.storage.engine import Connect, TrioConnection, TrioEngine, open_engine
from reference.storage.schema import create_tables, metadata
from reference.storage.transactions import (
    ForeignCallError,
    NestedTransactionError,
    TransactionConflictError,
    atomically,
    outside_transactions,
    reading,
)

__all__ = [
    "Connect",
    "ForeignCallError",
    "NestedTransactionError",
    "TransactionConflictError",
    "TrioConnection",
    "TrioEngine",
    "atomically",
    "create_tables",
    "metadata",
    "open_engine",
    "outside_transactions",
    "reading",
    "schema_messages",
    "schema_rest",
    "schema_tickets",
    "schema_worker",
]
