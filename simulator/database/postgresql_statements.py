"""What each PostgreSQL statement touches, read off its text and the schema once (`postgresql_touch`).

Sound first: what the text does not tell (functions, triggers, names that the schema does not know, several writing
statements in one) conflicts with everything, and a transaction in which such a thing has happened does so to its end.
What is understood is: SELECT, with or without row locks; INSERT of values or rows of a SELECT, with ON CONFLICT; UPDATE and
DELETE. Their rows are known by the columns that are compared with given values (`predicates`).
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.tokens import TokenType  # type: ignore[attr-defined]  # sqlglot re-exports it silently

from simulator.database.postgresql_clock import tokens_of
from simulator.database.postgresql_shapes import name_of
from simulator.database.postgresql_text import with_numbered_placeholders
from simulator.database.postgresql_touch import (
    ANYTHING,
    NO_TOUCH,
    SEQUENCES,
    SHARE,
    UPDATE,
    Lock,
    Touch,
    Touched,
    sets_of,
)
from simulator.database.postgresql_writes import Writes
from simulator.database.predicates import Template, equalities
from simulator.database.shapes import without_comment

if TYPE_CHECKING:
    from simulator.database.postgresql_catalog import Catalog
    from simulator.database.postgresql_flight import Operation
    from simulator.database.postgresql_keys import Keys
    from simulator.database.postgresql_shapes import Shape

_OF_THE_SESSION = {
    "SAVEPOINT",
    "RELEASE",
    "SHOW",
    "PREPARE",
    "DEALLOCATE",
    "RESET",
    "COMMIT",
    "END",
    "ABORT",
    "ROLLBACK",
}
_SETS = {"BEGIN", "START", "SET"}
_CHANGES_NAMES = {
    "SEARCH_PATH",
    "SCHEMA",
    "ROLE",
    "AUTHORIZATION",
    "ROW_SECURITY",
    "SESSION_REPLICATION_ROLE",
}
_ISOLATION = "DEFAULT_TRANSACTION_ISOLATION"
_WRITING = exp.Insert | exp.Update | exp.Delete
_HARMLESS = {"pg_typeof", "pg_column_size", "pg_size_pretty"}
ADVISORY = "advisory locks"


class Statements:
    """Knows what every statement that it was asked about touches.

    Args:
        catalog: of the schema.
        keys: of the schema.
    """

    def __init__(self, catalog: Catalog, keys: Keys) -> None:
        self._catalog = catalog
        self._keys = keys
        self._names = {name.lower(): name for name in catalog.tables}
        # A name in another schema may be anybody's: columns are known for bare names only.
        self.columns = {table: columns for table, columns in keys.columns.items() if "." not in table}
        self._known: dict[tuple[str, bool], tuple[Touch, tuple[int | str, ...]]] = {}

    def touched(self, operation: Operation) -> list[Touched]:
        """What an operation touches: once, or for each of its sets of parameters."""
        parameters = operation.parameters
        key = (operation.sql, parameters is not None)
        known = self._known.get(key)
        if known is None:
            sql, places = with_numbered_placeholders(key[0]) if key[1] else (key[0], ())
            known = self._known[key] = self._learn(sql, operation.shape), places
        touch, places = known
        return [
            touch.bind(_in_order(given, places), self._keys.canonical)
            for given in sets_of(parameters, many=operation.many)
        ]

    def _learn(self, sql: str, shape: Shape) -> Touch:
        verb = (_words(sql) or [""])[0]
        if verb in _OF_THE_SESSION:
            return NO_TOUCH
        if verb in _SETS:
            return setting(sql)
        if shape.footprint is None or (self._catalog.triggers and shape.written):
            return ANYTHING
        try:
            tree: Any = sqlglot.parse_one(sql, dialect="postgres")
        except SqlglotError:
            return ANYTHING
        reader = _Reader(self._catalog, self._keys, self._names, self.columns)
        return reader.read(tree, sql)


class _Reader:
    """Reads one statement."""

    def __init__(
        self, catalog: Catalog, keys: Keys, names: dict[str, str], columns: dict[str, list[str]]
    ) -> None:
        self._catalog = catalog
        self._keys = keys
        self._names = names
        self._columns = columns

    def read(self, tree: Any, sql: str) -> Touch:
        """What it touches."""
        if not isinstance(tree, _WRITING | exp.Query | exp.Values):
            return ANYTHING
        if any(node is not tree for node in tree.find_all(exp.Insert, exp.Update, exp.Delete, exp.Merge)):
            return ANYTHING
        target = tree.this.find(exp.Table) if isinstance(tree, _WRITING) and tree.this is not None else None
        ctes = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
        looks: list[Template] = []
        for table in tree.find_all(exp.Table):
            if table is target or table.find_ancestor(exp.Lock) or not isinstance(table.this, exp.Identifier):
                continue
            found = self._sources(table, ctes)
            if found is None:
                return ANYTHING
            looks += found
        called = self._called(sql)
        locks = self._locked(tree, ctes)
        if called is None or locks is None:
            return ANYTHING
        advisory, session, drawing = called
        if advisory:
            locks.append(Lock(UPDATE, Template(ADVISORY)))
        touch = Touch(
            looks=tuple(looks),
            locks=tuple(locks),
            writes=(SEQUENCES,) if drawing else (),
            session=session,
            one=len(locks) == 1 and isinstance(tree, exp.Select) and bool(tree.args.get("locks")),
        )
        if not isinstance(tree, _WRITING):
            return touch
        name = name_of(target).lower() if target is not None else ""
        if target is None or name not in self._names or name in self._keys.strange or self._catalog.functions:
            return ANYTHING
        return Writes(self._catalog, self._keys, self._columns).add(touch, tree, target, name)

    def _sources(self, table: exp.Table, ctes: set[str]) -> list[Template] | None:
        """The looks at a table that is named in a statement; None: it may be anything."""
        name = name_of(table).lower()
        if name in self._names:
            if name in self._keys.strange:
                return None
            where = () if "." in name else tuple(equalities(table, self._columns))
            return [Template(name, where)]
        if name in ctes and not table.db:
            return []
        views = {view.lower(): view for view in self._catalog.views}
        if name not in views or self._catalog.functions:
            return None
        beneath = [each.lower() for each in self._catalog.over(views[name])]
        known = all(each in self._names and each not in self._keys.strange for each in beneath)
        return [Template(each) for each in beneath] if known else None

    def _locked(self, tree: Any, ctes: set[str]) -> list[Lock] | None:
        """Whose rows a SELECT locks; FOR UPDATE OF some of its tables is taken for all of them."""
        locks: list[Lock] = []
        for select in tree.find_all(exp.Select):
            for lock in select.args.get("locks") or ():
                for table in select.find_all(exp.Table):
                    if table.find_ancestor(exp.Lock) or not isinstance(table.this, exp.Identifier):
                        continue
                    found = self._sources(table, ctes)
                    if found is None:
                        return None
                    if lock.args.get("update"):
                        locks += [Lock(UPDATE, template) for template in found]
                    else:
                        # Others may change a row that is only locked FOR KEY SHARE, so nothing is known of it later.
                        free = bool(lock.args.get("key"))
                        locks += [Lock(SHARE, Template(each.table) if free else each) for each in found]
        return locks

    def _called(self, sql: str) -> tuple[bool, bool, bool] | None:
        """Whether functions are called that take advisory locks, for the session, or draw; None: one may do anything."""
        advisory = session = drawing = False
        for token, following in pairwise(tokens_of(sql)):
            name = token.text.lower()
            if following.token_type != TokenType.L_PAREN:
                continue
            if name.startswith("pg_") and "advisory" in name:
                advisory = True
                session = session or "xact" not in name
            elif name in {"nextval", "setval"}:
                drawing = True
            elif name in self._catalog.functions or _may_do_anything(name):
                return None
        return advisory, session, drawing


def _may_do_anything(name: str) -> bool:
    odd = name.startswith(("pg_", "lo_", "dblink", "txid_")) or "_to_xml" in name or name == "set_config"
    return odd and name not in _HARMLESS


def _words(sql: str) -> list[str]:
    return re.sub(r"[;='\"]", " ", without_comment(sql)).upper().split()


def setting(sql: str) -> Touch:
    """BEGIN, START and SET: harmless, unless they change what later statements see or what names mean."""
    words = _words(sql)
    if not _CHANGES_NAMES.isdisjoint(words):
        return Touch(stays="session")
    for at, word in enumerate(words):
        if word in {"LEVEL", _ISOLATION}:
            given = [each for each in words[at + 1 :] if each != "TO"]
            if given[:1] != ["READ"]:
                lasting = word == _ISOLATION or "CHARACTERISTICS" in words
                return Touch(stays="session" if lasting else "transaction")
    return NO_TOUCH


def _in_order(parameters: Any, places: tuple[int | str, ...]) -> list[Any]:
    """The values in the order of their places; None where there is none."""
    values = []
    for key in places:
        try:
            values.append(parameters[key])
        except (KeyError, IndexError, TypeError):
            values.append(None)
    return values
