"""Logs as lines of JSON, each with the ids of what it is about; the rest of the reference just uses `logging`.

`about` names the payment, lead, deal or task that everything logged inside of it concerns, in this task and those it starts. What is
logged never holds a secret by construction: messages are made of ids and of `repr`s of errors, and settings hide their secrets.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from contextvars import ContextVar, Token
from datetime import UTC, datetime
from typing import TextIO

_subject: ContextVar[Mapping[str, str]] = ContextVar("what the task is about")
_NOTHING: Mapping[str, str] = {}
_OWN = frozenset({"at", "level", "logger", "message", "error"})  # what every line says of itself


class about:  # noqa: N801 - reads as a word where it is used
    """``with about(payment="p-1"):``; None leaves an id out. A plain class, because a generator would add frames to tracebacks."""

    def __init__(self, **ids: object) -> None:
        assert not _OWN.intersection(ids), f"{sorted(_OWN.intersection(ids))} are the line's own"
        self._ids = {name: str(value) for name, value in ids.items() if value is not None}

    def __enter__(self) -> None:
        self._token: Token[Mapping[str, str]] = _subject.set({**_subject.get(_NOTHING), **self._ids})

    def __exit__(self, *_exception: object) -> None:
        _subject.reset(self._token)


def subject() -> Mapping[str, str]:
    """The ids that a line would carry now."""
    return _subject.get(_NOTHING)


class JsonLines(logging.Formatter):
    """One record, one line: ``at``, ``level``, ``logger``, ``message``, the ids, and ``error`` with the traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **subject(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def configure(level: str, stream: TextIO = sys.stderr) -> None:
    """Send all logs of this process to a stream, from this level on.

    Args:
        level: ``INFO`` and the like.
        stream: standard error, which belongs to logs; what a command has to say goes to standard output.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for chatty in ("httpx", "httpcore", "stripe"):  # they log URLs, and Telegram's and Mobizon's hold a token
        logging.getLogger(chatty).setLevel(logging.WARNING)
