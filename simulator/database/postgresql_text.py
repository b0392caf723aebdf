"""Placeholders, from one notation into another. Nothing else about SQL's text is known here."""

from __future__ import annotations

import re

_PSYCOPGS = re.compile(r"%(?:\((?P<name>[^)]+)\))?(?P<kind>[sbt%])")
# What may hold a question mark that is none: strings, quoted names, comments. PostgreSQL's operators ?| and ?& too.
_QUESTIONS = re.compile(
    r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|/\*.*?\*/|\$(\w*)\$.*?\$\1\$|%|\?\?|\?[|&]|\?""", re.DOTALL
)


def without_placeholders(sql: str) -> str:
    """The statement with NULL in place of psycopg's ``%s`` and ``%(name)s``, for a reader that wants its tables.

    Not PostgreSQL's own ``$1``: sqlglot takes ``$1,$2`` for the beginning of a dollar-quoted string.
    """
    return _PSYCOPGS.sub(lambda match: "%" if match["kind"] == "%" else "NULL", sql)


def with_numbered_placeholders(sql: str) -> tuple[str, tuple[int | str, ...]]:
    """The statement with ``:__0``, ``:__1`` and so on in psycopg's places, and the key of each: an index or a name."""
    keys: list[int | str] = []

    def replace(match: re.Match[str]) -> str:
        if match["kind"] == "%":
            return "%"
        keys.append(match["name"] or len(keys))
        return f" :__{len(keys) - 1}"  # the blank: a[1:%s] is no cast

    return _PSYCOPGS.sub(replace, sql), tuple(keys)


def question_marks(sql: str, count: int) -> str:
    """``?`` as psycopg's ``%s``. A question mark that is an operator is written ``??`` where there are parameters.

    Raises:
        ValueError: there are more or fewer question marks than parameters.
    """
    if not count:
        return sql
    found = 0

    def replace(match: re.Match[str]) -> str:
        nonlocal found
        text = match[0]
        if text == "?":
            found += 1
            return "%s"
        return "?" if text == "??" else text.replace("%", "%%")

    translated = _QUESTIONS.sub(replace, sql)
    if found != count:
        raise ValueError(f"{count} parameters for {found} question marks in: {sql}")
    return translated
