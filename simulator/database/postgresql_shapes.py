"""What a PostgreSQL statement is, from its text: a label, a footprint of tables, what it ends, and why it is refused.

PostgreSQL has no authorizer to ask (SQLite's door does), so the text is parsed. What the parser does not know gets its
first words for a label and no footprint at all, which everybody must take for "may touch anything".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import sqlglot
from sqlglot import exp
from sqlglot.tokens import Token, TokenType  # type: ignore[attr-defined]  # sqlglot re-exports them silently

from simulator.database.postgresql_catalog import named
from simulator.database.postgresql_clock import crude_tokens_of, refusal, tokens_of
from simulator.database.postgresql_text import without_placeholders
from simulator.database.shapes import Footprint

if TYPE_CHECKING:
    from simulator.database.postgresql_catalog import Catalog

_PARSED = {"DELETE", "INSERT", "MERGE", "SELECT", "TABLE", "TRUNCATE", "UPDATE", "VALUES", "WITH", "("}
_NOTHING = Footprint()
_TOUCHES_NOTHING = {"BEGIN", "START", "SAVEPOINT", "RELEASE", "SHOW"}
_SETTINGS = {"SET", "RESET", "LISTEN", "UNLISTEN", "DISCARD", "PREPARE", "DEALLOCATE", "LOAD", "DECLARE"}
_OF_THE_TRANSACTION = {"LOCAL", "TRANSACTION", "CONSTRAINTS"}  # SET ...: gone with the transaction
_ADVISORY = "advisory locks"  # stand in footprints like a table
_SEQUENCES = "sequences"
_CASCADES = {"c", "n", "d"}  # pg_constraint.confdeltype: cascade, set null, set default


@dataclass(frozen=True, slots=True)
class Shape:
    """A statement's shape.

    Attributes:
        label: as schedules name it, such as ``UPDATE payments``; SELECTs that lock rows say so.
        kind: of the point: ``sql``, ``lock`` (it takes locks and writes nothing), ``commit`` or ``rollback``.
        footprint: the tables that it touches, locks included; None: nobody knows.
        reads: tables read, as the text names them.
        written: tables written, as the text names them.
        locked: tables in which it locks rows without writing.
        begins: it opens a transaction.
        taints: it leaves something behind in the session for whoever uses the connection next.
        defines: it changes the schema.
        refused: why it cannot run in a world; empty when it can.
    """

    label: str
    kind: str = "sql"
    footprint: Footprint | None = None
    reads: tuple[str, ...] = ()
    written: tuple[str, ...] = ()
    locked: tuple[str, ...] = ()
    begins: bool = False
    taints: bool = False
    defines: bool = False
    refused: str = ""


@dataclass(slots=True)
class _Reach:
    """Collects what a statement touches."""

    reads: set[str] = field(default_factory=set)
    writes: set[str] = field(default_factory=set)
    locks: set[str] = field(default_factory=set)
    extra: set[str] = field(default_factory=set)
    """Read by the engine itself: the other side of a foreign key."""
    cascaded: set[str] = field(default_factory=set)
    known: bool = True


class Shapes:
    """Knows the shape of every statement it was asked about."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._known: dict[tuple[str, bool], Shape] = {}

    def of(self, sql: str, *, parameters: bool) -> Shape:
        """The shape of a statement; with parameters, ``%s`` and ``%%`` mean what they mean to psycopg."""
        shape = self._known.get((sql, parameters))
        if shape is None:
            shape = self._known[sql, parameters] = self._learn(
                without_placeholders(sql) if parameters else sql
            )
        return shape

    def _learn(self, sql: str) -> Shape:
        tokens = tokens_of(sql)
        verb = tokens[0].text.upper() if tokens else ""
        if verb not in _PARSED:  # sqlglot gives the rest of such a statement as one piece of text
            tokens = crude_tokens_of(sql)
        refused = refusal(tokens)
        words = [token.text.upper() for token in tokens]
        while words and words[-1] == ";":
            words.pop()
        if ";" in words and verb != "DO":
            return self._several(tokens, refused)
        label = " ".join(words[:2]) or "an empty statement"
        if verb in {"COMMIT", "END"}:
            return Shape("COMMIT", "commit", _NOTHING)
        if verb in {"ROLLBACK", "ABORT"}:
            if "TO" in words:
                return Shape("ROLLBACK TO SAVEPOINT")
            return Shape("ROLLBACK", "rollback", _NOTHING)
        if verb in _TOUCHES_NOTHING:
            begins = verb in {"BEGIN", "START"}
            return Shape(verb if verb != "START" else label, footprint=_NOTHING, begins=begins)
        if verb in _SETTINGS:
            taints = verb != "SET" or not _OF_THE_TRANSACTION & set(words[1:2])
            return Shape(label, footprint=_NOTHING, taints=taints, refused=refused)
        if verb == "LOCK":
            return self._lock_table(tokens, label)
        if verb not in _PARSED:
            temporary = verb == "CREATE" and not {"TEMP", "TEMPORARY"}.isdisjoint(words[1:4])
            defines = verb in {"CREATE", "ALTER", "DROP", "COMMENT", "GRANT", "REVOKE"} and not temporary
            return Shape(label, taints=not defines, defines=defines, refused=refused)
        return self._parsed(sql, tokens, refused, label)

    def _several(self, tokens: list[Token], refused: str) -> Shape:
        """Statements sent as one text: the label of the first, and no footprint, for they may begin and end anything."""
        starts = [0, *(i + 1 for i, token in enumerate(tokens) if token.token_type == TokenType.SEMICOLON)]
        verbs = [tokens[start].text.upper() for start in starts if start < len(tokens)]
        defines = not {"CREATE", "ALTER", "DROP"}.isdisjoint(verbs)
        return Shape(
            f"{tokens[0].text.upper()} and {len(verbs) - 1} more",
            taints=True,
            defines=defines,
            refused=refused,
        )

    def _lock_table(self, tokens: list[Token], label: str) -> Shape:
        names = {token.text.lower() for token in tokens[1:]}
        tables = tuple(sorted(table for table in self._catalog.tables if table.rpartition(".")[2] in names))
        if not tables:
            return Shape(label, "lock")
        return Shape(f"LOCK {', '.join(tables)}", "lock", Footprint(tables, tables), locked=tables)

    def _parsed(self, sql: str, tokens: list[Token], refused: str, label: str) -> Shape:
        try:
            tree = sqlglot.parse_one(sql, dialect="postgres")
        except sqlglot.ParseError:
            return Shape(label, taints=True, refused=refused)
        reach = _Reach()
        self._tables(tree, reach)
        taints = self._calls(tokens, reach)
        for node in tree.find_all(exp.Insert, exp.Update, exp.Delete, exp.Merge):
            if node.find_ancestor(exp.Merge):  # WHEN MATCHED THEN UPDATE names no table of its own
                continue
            refused = refused or self._writes(node, reach)
        verb = tree.key.upper() if tree.key in {"insert", "update", "delete", "merge"} else "SELECT"
        if isinstance(tree, exp.TruncateTable):
            verb = "TRUNCATE"
            reach.writes |= {name_of(table) for table in tree.find_all(exp.Table)}
            reach.known = "CASCADE" not in sql.upper()
        elif reach.writes and verb == "SELECT":  # WITH ... AS (UPDATE ... RETURNING ...) SELECT
            verb = "WITH"
        written, reads, locked = (tuple(sorted(names)) for names in (reach.writes, reach.reads, reach.locks))
        suffix = " FOR UPDATE" if reach.locks - {_ADVISORY} and not written else ""
        return Shape(
            f"{verb} {', '.join(written or reads or locked)}".strip() + suffix,
            "lock" if locked and not written else "sql",
            self._footprint(reach),
            reads,
            written,
            locked,
            taints=taints,
            refused=refused,
        )

    def _tables(self, tree: exp.Expr, reach: _Reach) -> None:
        ctes = {cte.alias for cte in tree.find_all(exp.CTE)}
        for table in tree.find_all(exp.Table):
            target = table.find_ancestor(exp.Insert)
            into = target is not None and target.this.find(exp.Table) is table
            if table.name and not into and not (table.name in ctes and not table.db):
                reach.reads.add(name_of(table))
        for select in tree.find_all(exp.Select):
            if select.args.get("locks"):
                # FOR UPDATE OF names aliases; to take all of its tables instead is coarse, and never wrong.
                reach.locks |= {name_of(table) for table in select.find_all(exp.Table)} & reach.reads

    def _calls(self, tokens: list[Token], reach: _Reach) -> bool:
        taints = False
        for token, following in pairwise(tokens):
            if following.token_type != TokenType.L_PAREN:
                continue
            name = token.text.lower()
            if "advisory" in name and name.startswith("pg_"):
                reach.locks.add(_ADVISORY)
                taints |= "xact" not in name
            elif name in {"nextval", "setval"}:
                reach.extra.add(_SEQUENCES)
                reach.cascaded.add(_SEQUENCES)
            elif name in {"set_config", "dblink", "dblink_exec"}:
                taints = True
            elif name in self._catalog.functions:
                reach.known = False
        return taints

    def _writes(self, node: exp.Expr, reach: _Reach) -> str:
        """Adds what a writing statement writes and what the engine looks at because of it; returns a refusal."""
        target = node.this.find(exp.Table) if node.this is not None else None
        if target is None:
            reach.known = False
            return ""
        table = name_of(target)
        reach.writes.add(table)
        if isinstance(node, exp.Insert):
            if node.args.get("conflict") is not None:
                reach.reads.add(table)
            self._refer(table, None, reach)
            names = node.this.expressions if isinstance(node.this, exp.Schema) else None
            return self._catalog.refused_default(table, self._named(table, node, names))
        if isinstance(node, exp.Update):
            changed = {column.name for part in node.expressions for column in _assigned(part)}
            self._refer(table, changed, reach)
            self._referred(table, changed, reach)
        else:
            self._refer(table, None, reach)
            self._referred(table, None, reach)
        return ""

    def _named(self, table: str, node: exp.Insert, names: list[exp.Expr] | None) -> frozenset[str]:
        """The columns that get a value from the statement; the others get their defaults."""
        if any(part.name.upper() == "DEFAULT" for part in node.find_all(exp.Var, exp.Column)):
            return frozenset()  # which column is meant is not worth finding out
        if names is not None:
            return frozenset(name.name for name in names)
        source = node.expression
        first = source.expressions[0] if isinstance(source, exp.Values) and source.expressions else None
        width = len(first.expressions) if first is not None else len(getattr(source, "selects", ()))
        return frozenset(self._catalog.columns.get(table, ())[:width])

    def _refer(self, table: str, changed: set[str] | None, reach: _Reach) -> None:
        """A row that refers to another one locks it, FOR KEY SHARE, when the reference is set."""
        for key in self._catalog.foreign_keys:
            if key.child == table and (changed is None or not changed.isdisjoint(key.columns)):
                reach.extra.add(key.parent)

    def _referred(self, table: str, changed: set[str] | None, reach: _Reach) -> None:
        """A row that others refer to asks for them when it goes, or when its key changes; it may take them along."""
        for key in self._catalog.foreign_keys:
            if key.parent == table and (changed is None or not changed.isdisjoint(key.referenced)):
                reach.extra.add(key.child)
                action = key.on_delete if changed is None else key.on_update
                if action in _CASCADES and key.child not in reach.cascaded:
                    reach.cascaded.add(key.child)
                    self._referred(key.child, None, reach)

    def _footprint(self, reach: _Reach) -> Footprint | None:
        if not reach.known or (self._catalog.triggers and reach.writes):
            return None
        over = self._catalog.over
        reads = {table for name in reach.reads | reach.extra for table in over(name)}
        writes = {table for name in reach.writes | reach.locks | reach.cascaded for table in over(name)}
        return Footprint(tuple(sorted(reads)), tuple(sorted(writes)))


def name_of(table: exp.Table) -> str:
    """As the catalog has it: folded to lower case unless quoted, with its schema unless that is ``public``."""
    part = table.this
    name = table.name if isinstance(part, exp.Identifier) and part.quoted else table.name.lower()
    return named(table.db.lower(), name)


def _assigned(part: exp.Expr) -> list[exp.Expr]:
    """The columns on the left of ``a = 1`` or ``(a, b) = (1, 2)``."""
    left = part.this if isinstance(part, exp.EQ) else part
    return list(left.find_all(exp.Column, exp.Identifier))
