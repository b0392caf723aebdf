"""What a statement must not ask the server for: its clock, its dice, its timers. Found by name, refused by name.

Refused and not rewritten: a rewritten statement is not the one that runs in production, and half of these hide in
places (defaults, views, functions) where a rewrite would have to follow. SQLite lets its clock be replaced from within
the engine (``sqlite_clock``); PostgreSQL does not.
"""

from __future__ import annotations

import re

from sqlglot import TokenError
from sqlglot.dialects.postgres import Postgres
from sqlglot.tokens import Token, TokenType  # type: ignore[attr-defined]  # sqlglot re-exports them silently

_CLOCK = "the database's own clock, which the simulator does not control"
_CHANCE = "chance, which is another in every execution"
_TIMER = "a timer of the server's, which runs in real time"
_GIVE_TIME = "pass the time as a parameter: datetime.now(UTC) is the world's time"
_GIVE_DRAWN = "draw the value in Python, where chance is seeded, and pass it as a parameter"
_SLEEP = "use trio.sleep, which takes no real time in a world"
_TIME_OUT = "give the wait a bound in Python: trio.move_on_after counts in the world's time"

_Reason = tuple[str, str]
_KEYWORDS: dict[str, _Reason] = dict.fromkeys(
    ("current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"), (_CLOCK, _GIVE_TIME)
)
_FUNCTIONS: dict[str, _Reason] = (
    dict.fromkeys(
        ("now", "transaction_timestamp", "statement_timestamp", "clock_timestamp", "timeofday"),
        (_CLOCK, _GIVE_TIME),
    )
    | dict.fromkeys(("random", "random_normal", "setseed", "gen_random_bytes"), (_CHANCE, _GIVE_DRAWN))
    | dict.fromkeys(("gen_random_uuid", "uuidv4", "uuidv7"), (_CHANCE, _GIVE_DRAWN))
    | dict.fromkeys(("uuid_generate_v1", "uuid_generate_v1mc", "uuid_generate_v4"), (_CHANCE, _GIVE_DRAWN))
    | dict.fromkeys(
        ("pg_backend_pid", "txid_current", "txid_current_if_assigned", "pg_current_xact_id"),
        ("a number that is another in every execution", "use a value that the code under test makes itself"),
    )
    | dict.fromkeys(("pg_sleep", "pg_sleep_for", "pg_sleep_until"), ("a real sleep", _SLEEP))
)
_MOMENTS = frozenset({"now", "today", "tomorrow", "yesterday"})  # as literals of a date or time type
_MOMENT_TYPES = frozenset({"date", "time", "timetz", "timestamp", "timestamptz", "abstime"})
_TIMERS = frozenset(
    {
        "deadlock_timeout",
        "idle_in_transaction_session_timeout",
        "idle_session_timeout",
        "lock_timeout",
        "statement_timeout",
        "transaction_timeout",
    }
)
_TOKENIZER = Postgres.Tokenizer()
_SIGNS = {
    "(": TokenType.L_PAREN,
    ")": TokenType.R_PAREN,
    ",": TokenType.COMMA,
    ";": TokenType.SEMICOLON,
}


def tokens_of(sql: str) -> list[Token]:
    """Takes a statement apart; crudely, words inside strings too, where sqlglot cannot."""
    try:
        return list(_TOKENIZER.tokenize(sql))
    except TokenError:
        return crude_tokens_of(sql)


def crude_tokens_of(sql: str) -> list[Token]:
    """Every word and sign, whatever it stands in."""
    return [Token(_SIGNS.get(text, TokenType.VAR), text) for text in re.findall(r"\w+|[^\w\s]", sql)]


def refusal(tokens: list[Token]) -> str:
    """Why a statement or an expression cannot run in a world: "now() is ...; pass ...". Empty when it can."""
    for index, token in enumerate(tokens):
        reason = _reason(tokens, index, token)
        if reason is not None:
            name, (what, instead) = reason
            return f"{name} is {what}; {instead}"
    return ""


def _reason(tokens: list[Token], index: int, token: Token) -> tuple[str, _Reason] | None:
    if token.token_type == TokenType.IDENTIFIER:  # quoted: somebody's own name
        return None
    name = token.text.lower()
    if token.token_type == TokenType.STRING:
        if name.strip() in _MOMENTS and _is_moment(tokens, index):
            return repr(name), (_CLOCK, _GIVE_TIME)
        return None
    if name in _KEYWORDS:
        return name, _KEYWORDS[name]
    if name in _TIMERS and tokens[0].text.upper() in {"SET", "ALTER"}:
        return name, (_TIMER, _TIME_OUT)
    if not _is_called(tokens, index):
        return None
    if name in _FUNCTIONS:
        return f"{name}()", _FUNCTIONS[name]
    if name == "age" and _arguments(tokens, index + 1) == 1:
        return "age() with one argument", (_CLOCK, _GIVE_TIME)
    return None


def _is_called(tokens: list[Token], index: int) -> bool:
    return index + 1 < len(tokens) and tokens[index + 1].token_type == TokenType.L_PAREN


def _is_moment(tokens: list[Token], index: int) -> bool:
    before = tokens[index - 1].text.lower() if index else ""
    after = tokens[index + 1] if index + 1 < len(tokens) else None
    if before in _MOMENT_TYPES:
        return True
    cast = after is not None and (after.token_type in {TokenType.DCOLON, TokenType.ALIAS})
    # What is cast is a text first when a default is printed back: ('now'::text)::date.
    return cast and any(token.text.lower() in _MOMENT_TYPES for token in tokens[index + 2 : index + 6])


def _arguments(tokens: list[Token], opening: int) -> int:
    depth = commas = 0
    for token in tokens[opening:]:
        if token.token_type == TokenType.L_PAREN:
            depth += 1
        elif token.token_type == TokenType.R_PAREN:
            depth -= 1
            if depth == 0:
                break
        elif token.token_type == TokenType.COMMA and depth == 1:
            commas += 1
    return commas + 1
