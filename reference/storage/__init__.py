"""How the reference reaches its database: engine, transactions, tables. It decides nothing about payments."""

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
]
