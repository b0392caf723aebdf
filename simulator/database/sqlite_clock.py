"""SQLite's own clock and chance, replaced per connection: every way to ask for them gets what the world has.

The time functions' meaning (modifiers, formats) stays SQLite's: 'now' is replaced by the virtual time and a connection
with the built-in functions is asked. They are marked as deterministic, which is what SQLite's own are within a
statement; else no index and no generated column could use them.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

_FUNCTIONS = {"date": 1, "datetime": 1, "julianday": 1, "time": 1, "unixepoch": 1, "strftime": 2}
_SINCE_3_43 = {"timediff": 2}
_KEYWORDS = {"current_date": "date", "current_time": "time", "current_timestamp": "datetime"}
_MEANS_NOW = {"subsec", "subsecond"}  # as the first argument: now, in milliseconds


class SqliteClock:
    """Installs the virtual clock, and seeded chance, in connections."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._builtin = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)

    def install(self, connection: sqlite3.Connection) -> None:
        """Replaces ``datetime``, ``random`` and the rest, and the CURRENT_ keywords (column defaults included)."""
        functions = _FUNCTIONS | (_SINCE_3_43 if sqlite3.sqlite_version_info >= (3, 43) else {})
        for name, times in functions.items():
            connection.create_function(name, -1, self._function(name, times), deterministic=True)
        for keyword, name in _KEYWORDS.items():
            connection.create_function(keyword, 0, self._function(name, 1), deterministic=True)
        connection.create_function("random", 0, lambda: int.from_bytes(os.urandom(8), "big", signed=True))
        connection.create_function("randomblob", 1, lambda size: os.urandom(max(1, int(size or 0))))

    def close(self) -> None:
        """Closes the connection that evaluates."""
        self._builtin.close()

    def _function(self, name: str, times: int) -> Callable[..., Any]:
        formats = int(name == "strftime")  # it has a format before its time

        def evaluate(*arguments: Any) -> Any:
            values = list(arguments)
            if formats <= len(values) < times or (values and _lower(values[0]) in _MEANS_NOW and not formats):
                values.insert(formats, "now")
            for at in range(formats, min(times, len(values))):
                if _lower(values[at]) == "now":
                    values[at] = self._now().astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
            marks = ", ".join("?" * len(values))
            return self._builtin.execute(f"SELECT {name}({marks})", values).fetchone()[0]

        return evaluate


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value
