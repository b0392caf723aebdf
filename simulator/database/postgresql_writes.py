"""What INSERT, UPDATE and DELETE touch on PostgreSQL beyond what they read: rows, unique keys, references, sequences.

* INSERT looks at its unique keys, among what is committed and among what is not: for an uncommitted row with an equal key it
  waits. It locks the rows that it refers to FOR KEY SHARE.
* UPDATE and DELETE lock their rows; one that changes a key, or DELETE, in the mode that keeps references out. Where others
  refer to these rows it looks at the referring ones, locks them, or writes them in turn (CASCADE and its like).

Source: PostgreSQL 15, "Explicit locking" and "Foreign keys"; what a unique index waits for was read in nbtinsert.c
(_bt_check_unique), and is in the tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from simulator.database.postgresql_touch import (
    KEY_SHARE,
    NO_KEY_UPDATE,
    SEQUENCES,
    UPDATE,
    Lock,
    Touch,
    whole,
)
from simulator.database.predicates import Given, Template, compared, given, joined_by_and

if TYPE_CHECKING:
    from simulator.database.postgresql_catalog import Catalog, ForeignKey
    from simulator.database.postgresql_keys import Keys

_DEFAULT = "d"
_CASCADES = {"c", "n", _DEFAULT}  # pg_constraint.confdeltype: cascade, set null, set default
Equal = tuple[tuple[str, Given], ...]


class Writes:
    """Adds to a statement's touch what comes of writing.

    Args:
        catalog: of the schema.
        keys: of the schema.
        columns: of its tables, as `predicates` wants them.
    """

    def __init__(self, catalog: Catalog, keys: Keys, columns: dict[str, list[str]]) -> None:
        self._catalog = catalog
        self._keys = keys
        self._columns = columns

    def add(self, touch: Touch, tree: Any, target: exp.Table, table: str) -> Touch:
        """The touch of a whole statement.

        Args:
            touch: what it reads and locks as a SELECT would.
            tree: the statement.
            target: where the written table stands in it.
            table: its name.
        """
        if not isinstance(tree, exp.Update):
            touch = replace(touch, late=table in self._keys.late)
        if isinstance(tree, exp.Insert):
            return self._insert(touch, tree, table)
        where = self._where(tree, target)
        if isinstance(tree, exp.Update):
            return self._update(touch, tree, table, where)
        return self._delete(touch, table, where)

    # INSERT ------------------------------------------------------------------------------------------------

    def _insert(self, touch: Touch, tree: exp.Insert, table: str) -> Touch:
        images = self._images(tree, table)
        conflict = tree.args.get("conflict")
        asked = [
            Template(table, self._part(image, key.columns, key.plain))
            for image in images
            for key in self._unique(table)
        ]
        rows = [Template(table, image) for image in images]
        touch = replace(
            touch,
            looks=(*touch.looks, *asked),
            rows=(*touch.rows, *rows),
            keys=(*touch.keys, *rows),
            wanted=(*touch.wanted, *asked),
            one=False,
        )
        if self._draws(tree, table):
            touch = replace(
                touch, reads=(*touch.reads, SEQUENCES), writes=(*touch.writes, ("sequence", table))
            )
        for image in images:
            touch = self._refer(touch, table, dict(image), None)
        if conflict is not None and "UPDATE" in str(conflict.args.get("action")).upper():
            touch = self._update_instead(touch, conflict, table, images)
        return touch

    def _images(self, tree: exp.Insert, table: str) -> list[Equal]:
        """What is known of each row."""
        into, values = tree.this, tree.expression
        if not isinstance(into, exp.Schema) or not isinstance(values, exp.Values):
            return [()]
        names = [each.name.lower() for each in into.expressions]
        known = set(self._columns.get(table, ()))
        return [
            tuple(
                (name, value)
                for name, each in zip(names, row.expressions, strict=False)
                if name in known and (value := given(each)) is not None
            )
            for row in values.expressions
        ]

    def _draws(self, tree: exp.Insert, table: str) -> bool:
        """Whether a column takes its default from a sequence."""
        drawn = self._keys.drawn.get(table, set())
        into = tree.this
        if (
            not isinstance(into, exp.Schema)
            or tree.expression is None
            or any(tree.expression.find_all(exp.Var))
        ):  # a DEFAULT in the place of a value
            return bool(drawn)
        return not drawn <= {each.name.lower() for each in into.expressions}

    def _update_instead(self, touch: Touch, conflict: Any, table: str, images: list[Equal]) -> Touch:
        """ON CONFLICT DO UPDATE: the row with the equal key is locked and changed."""
        arbiters = frozenset(
            column.name.lower()
            for each in conflict.args.get("conflict_keys") or ()
            for column in each.find_all(exp.Column, exp.Identifier)
        )
        assigned = _assigned(conflict.expressions)
        plain = any(key.plain and key.columns == arbiters for key in self._unique(table))
        for image in images:
            where = self._part(image, arbiters, plain)
            touch = self._changed(touch, table, where, assigned, {})
        return replace(touch, one=False)

    # UPDATE and DELETE -------------------------------------------------------------------------------------

    def _where(self, tree: Any, target: exp.Table) -> Equal:
        """What is known of the rows that are written."""
        where = tree.args.get("where")
        if where is None or tree.args.get("from_") or tree.args.get("using") or target.db:
            return ()
        return tuple(
            each
            for condition in joined_by_and(where.this)
            for each in compared(condition, target, [target], self._columns)
        )

    def _update(self, touch: Touch, tree: exp.Update, table: str, where: Equal) -> Touch:
        given_values = {
            each.this.name.lower(): value
            for each in tree.expressions
            if isinstance(each, exp.EQ) and (value := given(each.expression)) is not None
        }
        return self._changed(touch, table, where, _assigned(tree.expressions), given_values)

    def _changed(
        self,
        touch: Touch,
        table: str,
        where: Equal,
        assigned: frozenset[str] | None,
        values: dict[str, Given],
    ) -> Touch:
        """Rows are changed in some columns (None: nobody knows in which), some of them to given values."""
        stays = tuple(
            (column, value) for column, value in where if assigned is not None and column not in assigned
        )
        moved = any(key.moves(assigned) for key in self._unique(table))
        row, at = Template(table, stays), Template(table, where)
        lock = Lock(UPDATE if moved else NO_KEY_UPDATE, at)
        touch = replace(
            touch,
            looks=(*touch.looks, at, *(whole([table]) if moved else ())),
            rows=(*touch.rows, row),
            locks=(*touch.locks, lock),
            keys=(*touch.keys, Template(table) if moved else row),
            wanted=(*touch.wanted, *(whole([table]) if moved else ())),
            assigned=touch.assigned | {(table, column) for column in self._all_or(table, assigned)},
            one=not moved and not touch.locks,
            late=touch.late or (table in self._keys.late and (moved or self._ties(table, assigned))),
        )
        changed = self._all_or(table, assigned)
        return self._referred(self._refer(touch, table, values, changed), table, dict(where), changed)

    def _delete(self, touch: Touch, table: str, where: Equal) -> Touch:
        at = Template(table, where)
        touch = replace(
            touch,
            looks=(*touch.looks, at),
            rows=(*touch.rows, at),
            locks=(*touch.locks, Lock(UPDATE, at)),
            keys=(*touch.keys, at),
            one=False,
        )
        return self._referred(touch, table, dict(where), None)

    # References --------------------------------------------------------------------------------------------

    def _refer(
        self, touch: Touch, table: str, values: dict[str, Given], assigned: frozenset[str] | None
    ) -> Touch:
        """What a row refers to is looked at and locked when the reference is set; ``assigned`` None: it is new."""
        for key in self._catalog.foreign_keys:
            if key.child.lower() != table or not (assigned is None or _touches(key.columns, assigned)):
                continue
            parent = Template(key.parent.lower(), _across(key.columns, key.referenced, values))
            touch = replace(
                touch, looks=(*touch.looks, parent), locks=(*touch.locks, Lock(KEY_SHARE, parent)), one=False
            )
        return touch

    def _referred(
        self,
        touch: Touch,
        table: str,
        where: dict[str, Given],
        assigned: frozenset[str] | None,
        seen: tuple[str, ...] = (),
    ) -> Touch:
        """Who refers to rows that go (``assigned`` None), or whose key changes, is looked at; and may have to follow."""
        for key in self._catalog.foreign_keys:
            if key.parent.lower() != table or not (assigned is None or _touches(key.referenced, assigned)):
                continue
            child = key.child.lower()
            if self._follows(key, gone=assigned is None):
                touch = _as_a_whole(touch, child, self._columns.get(child, ()))
                touch = replace(touch, late=touch.late or child in self._keys.late)
                if assigned is not None or key.on_delete == _DEFAULT:  # they refer to another row then
                    touch = self._refer(touch, child, {}, None)
                if child not in seen:
                    touch = self._referred(touch, child, {}, None, (*seen, child))
            else:
                at = Template(child, _across(key.referenced, key.columns, where))
                touch = replace(
                    touch, looks=(*touch.looks, at), locks=(*touch.locks, Lock(KEY_SHARE, at)), one=False
                )
        return touch

    def _ties(self, table: str, assigned: frozenset[str] | None) -> bool:
        """Whether columns are assigned in which rows of this table refer to others."""
        keys = [key for key in self._catalog.foreign_keys if key.child.lower() == table]
        return assigned is None or any(_touches(key.columns, assigned) for key in keys)

    @staticmethod
    def _follows(key: ForeignKey, *, gone: bool) -> bool:
        return (key.on_delete if gone else key.on_update) in _CASCADES

    def _unique(self, table: str) -> Sequence[Any]:
        return self._keys.unique.get(table, ())

    def _all_or(self, table: str, assigned: frozenset[str] | None) -> frozenset[str]:
        return frozenset(self._columns.get(table, ())) if assigned is None else assigned

    @staticmethod
    def _part(image: Equal, columns: Iterable[str], plain: bool) -> Equal:
        """A key's part of a row; nothing where it is not all known."""
        part = tuple((column, value) for column, value in image if column in columns)
        return part if plain and {column for column, _ in part} == set(columns) else ()


def _as_a_whole(touch: Touch, table: str, columns: Sequence[str]) -> Touch:
    """Any row of a table may be looked at, locked and changed."""
    at = Template(table)
    return replace(
        touch,
        looks=(*touch.looks, at),
        rows=(*touch.rows, at),
        locks=(*touch.locks, Lock(UPDATE, at)),
        keys=(*touch.keys, at),
        wanted=(*touch.wanted, at),
        assigned=touch.assigned | {(table, column) for column in columns},
        one=False,
    )


def _assigned(expressions: Sequence[Any]) -> frozenset[str] | None:
    """The columns that get values; None where that cannot be read off."""
    if not all(isinstance(each, exp.EQ) and isinstance(each.this, exp.Column) for each in expressions):
        return None
    return frozenset(each.this.name.lower() for each in expressions)


def _touches(columns: Iterable[str], assigned: frozenset[str]) -> bool:
    return any(column.lower() in assigned for column in columns)


def _across(own: frozenset[str], others: frozenset[str], values: dict[str, Given]) -> Equal:
    """What is known of the other side of a reference; of one with several columns nobody knows which is which."""
    if len(own) != 1 or len(others) != 1:
        return ()
    (mine,), (theirs,) = own, others
    value = values.get(mine.lower())
    return () if value is None else ((theirs.lower(), value),)
