"""The invariants, asked of a live database: one snapshot, nothing written, and every row that breaks a claim.

On a service at work the claims of kind "eventually" may be broken for a while, because they speak of what holds once nothing is
under way: a payment that was confirmed a second ago is not delivered yet. Those of kind "always" hold after every commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from reference.invariants import ALL, Invariant
from reference.storage.engine import TrioEngine
from reference.storage.transactions import reading


@dataclass(frozen=True, slots=True)
class Violation:
    """A claim that does not hold.

    Args:
        invariant: which.
        rows: what breaks it, by column name; never empty.
    """

    invariant: Invariant
    rows: Sequence[Mapping[str, Any]]


async def audit(engine: TrioEngine, *, invariants: Iterable[Invariant] = ALL) -> list[Violation]:
    """Ask a database whether the claims hold, all in one snapshot.

    Args:
        engine: of a database at the newest revision; `reference.storage.migrations.require_head` makes sure.
        invariants: which claims.

    Returns:
        Those that do not hold, in the order of the claims.
    """

    async def ask(connection: AsyncConnection) -> list[Violation]:
        if engine.dialect.name == "sqlite":
            await connection.execute(text("PRAGMA query_only = ON"))  # PostgreSQL's snapshots are read only
        try:
            return await _ask(connection, invariants)
        finally:
            if engine.dialect.name == "sqlite":
                await connection.execute(text("PRAGMA query_only = OFF"))  # a pool may lend it again

    return await reading(engine, ask)


async def _ask(connection: AsyncConnection, invariants: Iterable[Invariant]) -> list[Violation]:
    found = []
    for invariant in invariants:
        rows = [dict(row) for row in (await connection.execute(text(invariant.sql))).mappings()]
        if rows:
            found.append(Violation(invariant, rows))
    return found


def as_json(violations: Sequence[Violation], *, checked: int) -> dict[str, Any]:
    """What `reference audit --json` prints."""
    return {
        "holds": not violations,
        "checked": checked,
        "violations": [
            {
                "name": each.invariant.name,
                "claim": each.invariant.claim,
                "when": each.invariant.when,
                "rows": list(each.rows),
            }
            for each in violations
        ],
    }


def as_text(violations: Sequence[Violation], *, checked: int) -> str:
    """What `reference audit` prints: each claim with its rows as a table."""
    parts = []
    for each in violations:
        eventually = "; holds once nothing is under way" if each.invariant.when == "eventually" else ""
        parts.append(f"{each.invariant.name}: {each.invariant.claim}{eventually}\n{_table(each.rows)}\n")
    broken = len(violations)
    verdict = f"{broken} of {checked} claims broken" if broken else f"{checked} claims hold"
    return "\n".join([*parts, verdict])


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    names = list(rows[0])
    lines = [names, *([str(row[name]) for name in names] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(names))]
    return "\n".join(
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
