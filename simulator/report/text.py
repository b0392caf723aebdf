"""Lines as spans of text and style: everything is measured and cut while it is plain, and painted last."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

Span = tuple[str, str]
Line = tuple[Span, ...]

_STYLES = {"alarm": "1;31", "fault": "1;35", "switch": "1;33", "heading": "1", "dim": "2"}
_LANES = ("36", "32", "34", "33")  # beyond four lanes colours no longer tell anybody apart


def printable(text: str) -> str:
    """One line that does nothing to a terminal: a row may hold line breaks or an escape sequence."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def clip(text: str, width: int) -> str:
    """Cuts a line, and shows that it was cut."""
    return text if len(text) <= width else text[: max(0, width - 3)] + "..."


def wrap(text: str, width: int, *, lines_max: int = 100) -> list[str]:
    """Breaks a text into lines; beyond the last one allowed it is cut.

    Args:
        text: made printable first.
        width: of a line.
        lines_max: how many lines at most; at least 1.
    """
    lines = textwrap.wrap(printable(text), width, break_on_hyphens=False) or [""]
    if len(lines) > lines_max:
        lines = [*lines[: lines_max - 1], clip(" ".join(lines[lines_max - 1 :]), width)]
    return lines


def paragraph(
    text: str, width: int, *, indent: int = 2, hang: int = 2, style: str = "", lines_max: int = 6
) -> list[Line]:
    """A wrapped text whose later lines hang a little further in."""
    lines = wrap(text, width - indent - hang, lines_max=lines_max)
    return [((" " * (indent + (hang if number else 0)) + line, style),) for number, line in enumerate(lines)]


def telling_pairs(rows: str, telling: frozenset[str]) -> list[str]:
    """Of rows in words (``id=1, status='paid'; ...``) the pairs that tell something.

    Cutting at commas may cut through a value that holds one; then less is shown, never something else.

    Args:
        rows: in words.
        telling: names of columns.
    """
    return [piece for piece in rows.split(", ") if piece.partition("=")[0].rpartition("; ")[2] in telling]


def shorten_rows(rows: str, width: int, telling: frozenset[str]) -> str:
    """Shortens rows in words that are too long: one of twenty columns is read for the one that somebody changes.

    Args:
        rows: in words.
        width: what there is room for.
        telling: names of columns that some statement changes.
    """
    rows = printable(rows)
    kept = telling_pairs(rows, telling)
    return clip(rows if len(rows) <= width or not kept else f"{', '.join(kept)}, ...", width)


def counted(count: int, what: str, *, none: str = "no") -> str:
    """``1 switch``, ``2,000 switches``, ``no fault``."""
    if count == 0:
        return f"{none} {what}"
    ending = "es" if what.endswith(("s", "ch")) else "s"
    return f"{count} {what}" if count == 1 else f"{count:,} {what}{ending}"


def lane_style(number: int) -> str:
    """The style of a lane's name."""
    return f"lane {number}"


def paint(lines: Sequence[Line], *, colour: bool) -> str:
    """The text of some lines; trailing spaces go."""
    return "\n".join(_painted(line, colour=colour) for line in lines)


def _painted(line: Line, *, colour: bool) -> str:
    plain = "".join(text for text, _ in line).rstrip()
    if not colour:
        return plain
    painted, left = [], len(plain)
    for text, style in line:
        shown, left = text[:left], left - min(left, len(text))
        code = _code(style)
        painted.append(f"\x1b[{code}m{shown}\x1b[0m" if code and shown.strip() else shown)
    return "".join(painted)


def _code(style: str) -> str:
    if style.startswith("lane "):
        number = int(style.removeprefix("lane "))
        return _LANES[number] if number < len(_LANES) else ""
    return _STYLES.get(style, "")
