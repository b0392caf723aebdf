"""SQLite's own clock, replaced per connection: every way to ask for the time answers with the virtual one.

The functions' meaning (modifiers, formats) stays SQLite's: 'now' is replaced by the virtual time and a connection with
the built-in functions is asked.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

_FUNCTIONS = ("date", "datetime", "julianday", "time", "unixepoch")
_KEYWORDS = {"current_date": "date", "current_time": "time", "current_timestamp": "datetime"}


class SqliteClock:
    """Installs the virtual clock in connections."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._builtin = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)

    def install(self, connection: sqlite3.Connection) -> None:
        """Replaces ``datetime``, ``unixepoch`` and the rest, and the CURRENT_ keywords (column defaults included)."""
        for name in _FUNCTIONS:
            connection.create_function(name, -1, self._function(name, time_at=0))
        connection.create_function("strftime", -1, self._function("strftime", time_at=1))
        for keyword, name in _KEYWORDS.items():
            connection.create_function(keyword, 0, self._function(name, time_at=0))

    def close(self) -> None:
        """Closes the connection that evaluates."""
        self._builtin.close()

    def _function(self, name: str, *, time_at: int) -> Callable[..., Any]:
        def evaluate(*arguments: Any) -> Any:
            values = list(arguments)
            if len(values) <= time_at:
                values.append("now")
            if isinstance(values[time_at], str) and values[time_at].lower() == "now":
                values[time_at] = self._now().astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
            marks = ", ".join("?" * len(values))
            return self._builtin.execute(f"SELECT {name}({marks})", values).fetchone()[0]  # noqa: S608

        return evaluate
