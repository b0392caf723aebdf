"""Cuts a script into its statements, as ``executescript`` runs them: SQLite itself says where one ends."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from simulator.database.shapes import without_comment


def statements_of(script: str) -> Iterator[str]:
    """The statements of a script; a last one may lack its semicolon."""
    statement = ""
    for piece in script.split(";")[:-1]:
        statement += piece + ";"
        if sqlite3.complete_statement(statement):  # not inside of a string, a comment or a trigger's body
            if without_comment(statement) != ";":
                yield statement.strip()
            statement = ""
    statement += script.rpartition(";")[2]
    if without_comment(statement):
        yield statement.strip()
