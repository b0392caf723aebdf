"""The table of events: who moved when, what it did, what came of it.

With few lanes each one has a column of its own, and its name stands there in every row: one sees the moves without
reading. With many lanes there is one column of names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from simulator.report.cells import Context, outcomes, whats
from simulator.report.elision import Gap, fitting
from simulator.report.rows import CLOCK, FAULT, Row
from simulator.report.text import Line, clip, lane_style, printable, wrap
from simulator.trace import Trace

_COLUMNS_MAX = 4  # lanes beside each other; more and the names push the story off the screen
_NAME_WIDTH_MAX = 26
_WHAT_WIDTH_MAX = 46
_FIRST_WIDTH = len("12345  ")
_INDENT = " " * _FIRST_WIDTH
_SWITCH = "  switch"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the columns stand.

    Attributes:
        lanes: names, in the order in which they first moved.
        processes: the name of each one's process; nothing when all run in one.
        columns: whether each lane has a column of its own.
        names: width of all that is taken by names.
        what: width of the statement.
        outcome: width of what came of it.
    """

    lanes: tuple[str, ...]
    processes: tuple[str, ...]
    columns: bool
    names: int
    what: int
    outcome: int

    def width_of(self, place: int) -> int:
        """The width of one lane's column: its name, or its process's above it."""
        return max(len(self.lanes[place]), len(self.processes[place]) if self.processes else 0)


@dataclass(frozen=True, slots=True)
class Table:
    """What the table says beside its rows.

    Attributes:
        trace: says what process each lane runs in, and where the claim was violated.
        start: wall time at which the world began; None when it is not known.
        verdict: what is written where it went wrong.
    """

    trace: Trace
    start: datetime | None
    verdict: str


def timeline(rows: Sequence[Row], table: Table, *, width: int, room: int) -> list[Line]:
    """The lines of the table.

    Args:
        rows: from ``rows_of_trace``, at least one.
        table: what it says beside them.
        width: of a line.
        room: how many lines it may take.
    """
    context = Context.of(rows)
    room -= 2  # the head, and the verdict
    items = _fitted(rows, layout_of(rows, table.trace, width), context, room)
    # Lanes of which no row is left need no column, and the others get theirs.
    shown = [item for item in items if isinstance(item, Row)]
    layout = layout_of(shown, table.trace, width)
    if sum(len(_row(row, layout, context)) for row in shown) + len(items) - len(shown) > room:
        layout = layout_of(rows, table.trace, width)
    lines = [_head(layout)]
    end = table.trace.violated_at if table.trace.violated_at is not None else len(table.trace.steps)
    now_s: float | None = None
    for item in items:
        at_s = _moment_of(item, now_s)
        if at_s != now_s:
            lines.append(((_INDENT + moment(table.start, at_s, first=now_s is None), "dim"),))
            now_s = at_s
        if isinstance(item, Gap):
            lines.append(((clip(_INDENT + str(item), width), "dim"),))
            continue
        lines += _row(item, layout, context)
        if item.number == end:
            lines.append(((clip(f"{_INDENT}^ {table.verdict}", width), "alarm"),))
    return lines


def _moment_of(item: Row | Gap, now_s: float | None) -> float:
    """When a line of the table is; a gap has no moment of its own unless it is the first line."""
    if isinstance(item, Row):
        return item.at_s
    return item.rows[0].at_s if now_s is None else now_s


def _fitted(rows: Sequence[Row], layout: Layout, context: Context, room: int) -> list[Row | Gap]:
    return fitting(rows, [len(_row(row, layout, context)) for row in rows], room)


def layout_of(rows: Sequence[Row], trace: Trace, width: int) -> Layout:
    """Fits the columns to what they hold.

    Args:
        rows: that may be shown.
        trace: says what process each lane runs in.
        width: of a line.
    """
    lanes = tuple(dict.fromkeys(row.lane for row in rows if row.lane not in (CLOCK, FAULT)))
    processes = tuple(trace.processes.get(lane, "") for lane in lanes)
    processes = processes if len(set(processes)) > 1 else ()
    side_by_side = sum(max(map(len, pair)) + 2 for pair in zip(lanes, processes or lanes, strict=True)) - 2
    columns = len(lanes) <= _COLUMNS_MAX and side_by_side <= width * 2 // 5
    widest = max([len(lane) for lane in lanes] + [len("FAULT")])
    names = max(side_by_side, len("FAULT")) if columns else min(widest, _NAME_WIDTH_MAX)
    rest = width - _FIRST_WIDTH - names - 2 - 2 - len(_SWITCH)
    changes = [len(line) for row in rows for access in row.accesses for line in access.changed]
    # A change is better read in one line than a condition to its end.
    what_max = min(_WHAT_WIDTH_MAX, max(rest - max([*changes, rest // 2]), rest * 2 // 5))
    texts = [text for row in rows if row.lane in lanes for text in whats(row, what_max)]
    what = max([len(text) for text in texts] + [len("what")])
    return Layout(lanes, processes, columns, names, what, rest - what)


def moment(start: datetime | None, at_s: float, *, first: bool = False) -> str:
    """``20:27:28 (+5 s)``, with the date when it is the first moment or the day is another one.

    Args:
        start: the world's beginning; without it only the seconds are known.
        at_s: seconds since then.
        first: whether no moment was shown yet.
    """
    since = f"+{at_s:.3f}".rstrip("0").rstrip(".") + " s"
    if start is None:
        return since
    wall = start + timedelta(seconds=at_s)
    shown = wall.strftime("%H:%M:%S")
    if wall.microsecond >= 1000:
        shown += f".{wall.microsecond // 1000:03d}"
    if first or wall.date() != start.date():
        shown = f"{wall.date().isoformat()} {shown} {wall.tzname() or ''}".rstrip()
    return f"{shown} ({since})" if at_s else shown


def _head(layout: Layout) -> Line:
    names = "lane"
    if layout.columns and layout.processes:
        names = "  ".join(f"{name:<{layout.width_of(at)}}" for at, name in enumerate(layout.processes))
    return ((f"{'step':>5}  {names:<{layout.names}}  {'what':<{layout.what}}  outcome", "heading"),)


def _row(row: Row, layout: Layout, context: Context) -> list[Line]:
    if row.lane in (CLOCK, FAULT):
        return _interruption(row, layout)
    place = layout.lanes.index(row.lane)
    indent = sum(layout.width_of(at) + 2 for at in range(place)) if layout.columns else 0
    name = f"{' ' * indent + clip(row.lane, layout.names):<{layout.names}}  "
    mark = _SWITCH if row.switch else ""
    cells = [
        (what if at == 0 else "", line)
        for what, lines in zip(whats(row, layout.what), outcomes(row, layout.outcome, context), strict=True)
        for at, line in enumerate(lines)
    ]
    lines: list[Line] = []
    for what, outcome in cells:
        before = (
            ((f"{row.number:>5}  ", "dim"), (name, lane_style(place)))
            if not lines
            else ((_INDENT + " " * len(name), ""),)
        )
        lines.append(
            (
                *before,
                (f"{what:<{layout.what}}  {outcome:<{layout.outcome}}", ""),
                (mark if not lines else "", "switch"),
            )
        )
    return lines


def _interruption(row: Row, layout: Layout) -> list[Line]:
    """What nobody did: a fault, or a timer that fired early. It takes the whole line."""
    word = "FAULT" if row.lane == FAULT else "TIMER"
    text = "; ".join([row.point.removeprefix("timer "), *row.notes])
    wrapped = wrap(printable(text), layout.what + 2 + layout.outcome, lines_max=2)
    heads = [f"{row.number:>5}  {word:<{layout.names}}  ", *[_INDENT + " " * (layout.names + 2)] * 2]
    return [((head, "fault"), (line, "fault")) for head, line in zip(heads, wrapped, strict=False)]
