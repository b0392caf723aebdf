"""Which rows a statement looks at, from its text: for each table, the columns that are compared with a given value.

Only what can be read off is used: conditions joined by AND, each a column on one side and a literal or a parameter on the
other. Everything else (OR, ranges, functions, columns of unclear origin) leaves the table without a predicate, which stands
for all of its rows. SQLite's authorizer knows which tables are read, through views too: what it names and the text does
not is looked at as a whole. So a look may be wider than the statement and is never narrower.

sqlglot parses: SQL's grammar is no place for regular expressions. Without it every look is at a whole table, and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simulator.database.shapes import without_comment
from simulator.effects import Look, Row, canonical

if TYPE_CHECKING:
    from sqlglot import exp

_PARSED = [["SELECT"], ["WITH"], ["VALUES"], ["INSERT"], ["UPDATE"], ["DELETE"]]

Columns = Mapping[str, Sequence[str]]
"""The columns of each table, all in lower case."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A value that stands in the text; ``cast``: the kind of type that it is cast to, as in `CASTS`."""

    value: str
    cast: str = ""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value that comes with the statement: an index, or a name."""

    key: int | str
    cast: str = ""


Given = Literal | Parameter
CASTS = {
    "INT": "whole",
    "BIGINT": "whole",
    "SMALLINT": "whole",
    "TEXT": "text",
    "VARCHAR": "text",
    "UUID": "uuid",
}
"""Casts that leave a value what it is, if it is of that kind already."""


@dataclass(frozen=True, slots=True)
class Template:
    """A look before its parameters are known."""

    table: str
    where: tuple[tuple[str, Given], ...] = ()


Canonical = Callable[[str, str, Given, Any], str | None]
"""What a value for a column of a table (by their names) is told apart by; None: by nothing."""


def _canonical_on_sqlite(_table: str, _column: str, given: Given, value: Any) -> str | None:
    if given.cast or not isinstance(value, str | int | float | bytes):
        return None  # what goes through a cast or an adapter may be anything
    return canonical(value)


class Predicates:
    """Knows the looks of every statement it was asked about.

    Args:
        columns: of the scenario's tables.
    """

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._known: dict[str, tuple[Template, ...] | None] = {}
        self._written: dict[str, tuple[Template, ...] | None] = {}

    def looks(self, sql: str, parameters: Any, tables: Sequence[str]) -> tuple[list[Look], int]:
        """What a statement looks at, and how many of these looks are at a whole table for want of knowing better.

        Args:
            sql: the statement.
            parameters: a sequence or a mapping, or None.
            tables: those that the engine says are read.
        """
        if sql not in self._known:
            self._known[sql] = _templates(sql, self._columns)
        templates = self._known[sql]
        names = [table.lower() for table in tables]
        if templates is None:
            return [Look(table) for table in names], len(names)
        found = [bound(template, parameters) for template in templates if template.table in names]
        mentioned = {look.table for look in found}
        missing = [Look(table) for table in names if table not in mentioned]
        return found + missing, len(missing)

    def rows(self, sql: str, parameters: Any, tables: Sequence[str]) -> list[Row]:
        """What the rows have in common that a statement could write, whatever the table holds.

        Args:
            sql: the statement.
            parameters: a sequence or a mapping, or None.
            tables: those that the engine says are written; one that the text does not name is written in any way.
        """
        if sql not in self._written:
            self._written[sql] = _written(sql, self._columns)
        templates = self._written[sql]
        names = [table.lower() for table in tables]
        written = [bound(template, parameters) for template in templates or ()]
        found = [Row(look.table, look.where) for look in written if look.table in names]
        mentioned = {row.table for row in found}
        return found + [Row(table) for table in names if table not in mentioned]


def bound(template: Template, parameters: Any, canonical: Canonical = _canonical_on_sqlite) -> Look:
    """A look, now that its parameters are known: a value of which nothing is known asks for nothing."""
    where = {}
    for column, given in template.where:
        value = given.value if isinstance(given, Literal) else _value(parameters, given.key)
        if value is not None and (text := canonical(template.table, column, given, value)) is not None:
            where[column] = text
    return Look(template.table, tuple(sorted(where.items())))


def _value(parameters: Any, key: int | str) -> Any:
    try:
        return parameters[key]
    except (KeyError, IndexError, TypeError):
        return None


def _parsed(sql: str) -> Any:
    """The statement's tree; None where the text cannot be understood."""
    if without_comment(sql)[:6].upper().split(maxsplit=1)[:1] not in _PARSED:
        return None
    try:
        import sqlglot
        from sqlglot import exp
        from sqlglot.errors import SqlglotError
    except ImportError:
        return None
    try:
        named = _with_named_parameters(sql)
        statement = sqlglot.parse_one(named, dialect="sqlite") if named is not None else None
    except SqlglotError:
        return None
    return None if isinstance(statement, exp.Command) else statement


def _written(sql: str, columns: Columns) -> tuple[Template, ...] | None:
    """None where anything could be written. What is known of a row holds before the statement and after it."""
    statement = _parsed(sql)
    if statement is None:
        return None
    from sqlglot import exp

    if isinstance(statement, exp.Insert):
        return _inserted(statement, columns)
    where = statement.args.get("where")
    if not isinstance(statement, exp.Update | exp.Delete) or where is None or statement.args.get("from_"):
        return None
    table = statement.this
    if not isinstance(table, exp.Table):
        return None
    assignments = statement.args.get("expressions") or ()
    if not all(isinstance(each, exp.EQ) and isinstance(each.this, exp.Column) for each in assignments):
        return None
    assigned = [each.this.name.lower() for each in assignments]
    equal = [
        (column, given)
        for condition in joined_by_and(where.this)
        for column, given in compared(condition, table, [table], columns)
        if column not in assigned
    ]
    return (Template(table.name.lower(), tuple(equal)),)


def _inserted(statement: exp.Insert, columns: Columns) -> tuple[Template, ...] | None:
    from sqlglot import exp

    into, values = statement.this, statement.expression
    if statement.args.get("conflict") or statement.args.get("alternative"):
        return None
    if not isinstance(into, exp.Schema) or not isinstance(values, exp.Values):
        return None
    names = [each.name.lower() for each in into.expressions]
    table = into.this.name.lower()
    if not set(names) <= set(columns.get(table, ())):
        return None
    return tuple(
        Template(
            table,
            tuple(
                (name, got)
                for name, value in zip(names, row.expressions, strict=False)
                if (got := given(value)) is not None
            ),
        )
        for row in values.expressions
    )


def _templates(sql: str, columns: Columns) -> tuple[Template, ...] | None:
    """None where the text cannot be understood."""
    statement = _parsed(sql)
    if statement is None:
        return None
    from sqlglot import exp

    tables = [each for each in statement.find_all(exp.Table) if isinstance(each.this, exp.Identifier)]
    own = {each.alias.lower() for each in statement.find_all(exp.CTE)}
    if any(table.name.lower() not in columns and table.name.lower() not in own for table in tables):
        return None  # through a view it may look at more of a table than at what the text says of that
    return tuple(Template(table.name.lower(), tuple(equalities(table, columns))) for table in tables)


def _with_named_parameters(sql: str) -> str | None:
    """Every ``?`` gets the name of its place, since a tree has no order of its own; None where numbers are mixed in."""
    from sqlglot.dialects.sqlite import SQLite
    from sqlglot.tokens import TokenType  # type: ignore[attr-defined]  # sqlglot re-exports it silently

    tokens = SQLite().tokenize(sql)
    pieces, at, count = [], 0, 0
    for index, token in enumerate(tokens):
        if token.token_type != TokenType.PLACEHOLDER or token.text != "?":
            continue
        after = tokens[index + 1] if index + 1 < len(tokens) else None
        if after is not None and after.token_type == TokenType.NUMBER and after.start == token.end + 1:
            return None
        pieces.append(f"{sql[at : token.start]}:__{count}")
        at, count = token.end + 1, count + 1
    return "".join([*pieces, sql[at:]])


def equalities(table: exp.Table, columns: Columns) -> Iterator[tuple[str, Given]]:
    """The columns of a table that its own SELECT compares with a given value, whatever the row."""
    from sqlglot import exp

    scope = table.parent_select
    if scope is None or table.find_ancestor(exp.Subquery) not in (None, scope.find_ancestor(exp.Subquery)):
        return
    sources = [each for each in scope.find_all(exp.Table) if each.parent_select is scope]
    for condition in _conditions(table, scope):
        yield from compared(condition, table, sources, columns)


def compared(
    condition: Any, table: exp.Table, sources: Sequence[exp.Table], columns: Columns
) -> Iterator[tuple[str, Given]]:
    """The column and the value, where a condition compares a column of the table with a given one."""
    from sqlglot import exp

    if not isinstance(condition, exp.EQ):
        return
    for side, other in ((condition.left, condition.right), (condition.right, condition.left)):
        value = given(other)
        if value is not None and isinstance(side, exp.Column) and _belongs(side, table, sources, columns):
            yield side.name.lower(), value


def _conditions(table: exp.Table, scope: exp.Select) -> Iterator[Any]:
    """What holds for every row of the table that matters: WHERE, and ON where it filters this table and no other."""
    from sqlglot import exp

    where = scope.args.get("where")
    if where is not None:
        yield from joined_by_and(where.this)
    join = table.parent
    if isinstance(join, exp.Join) and join.this is table and join.side in {"", "LEFT"}:
        on = join.args.get("on")
        if on is not None:
            yield from joined_by_and(on)


def joined_by_and(condition: Any) -> Iterator[Any]:
    """The conditions that must all hold."""
    from sqlglot import exp

    if isinstance(condition, exp.And):
        yield from joined_by_and(condition.left)
        yield from joined_by_and(condition.right)
    elif isinstance(condition, exp.Paren):
        yield from joined_by_and(condition.this)
    else:
        yield condition


def given(expression: Any, cast: str = "") -> Given | None:
    """A value that stands in the text or comes with it, and is what it is whatever the row; else None."""
    from sqlglot import exp

    if isinstance(expression, exp.Cast) and not cast and not expression.to.expressions:
        cast = CASTS.get(expression.to.this.name, "")
        return given(expression.this, cast) if cast else None
    if isinstance(expression, exp.Literal):
        return Literal(expression.this, cast)
    if isinstance(expression, exp.Placeholder) and expression.this:
        name = str(expression.this)
        key = int(name[2:]) if name.startswith("__") and name[2:].isdecimal() else name
        return Parameter(key, cast)
    return None


def _belongs(column: exp.Column, table: exp.Table, sources: Sequence[exp.Table], columns: Columns) -> bool:
    name, qualifier = column.name.lower(), column.table.lower()
    if name not in columns.get(table.name.lower(), ()):
        return False
    if qualifier:
        return qualifier == (table.alias or table.name).lower()
    return all(name not in columns.get(each.name.lower(), (name,)) for each in sources if each is not table)
