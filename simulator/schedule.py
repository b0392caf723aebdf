"""All choices of one execution, as a value and as the text that users see, save and replay.

The saved form is named lines (``webhook#2: COMMIT payments``), not indices: it survives small edits of the code under
test, and when it does not, the replay says at which line it drifted. It is data: reading it executes nothing.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from simulator.errors import ScheduleError

FORMAT = "turnstile schedule 1"
FAULT = "fault"  # the lane that is nobody's: what goes wrong on purpose
CLOCK = "clock"  # another one: a timer that fires early
_HEADER = ("test", "database", "violates", "checkpoints")
_ESCAPES = {
    "\\": "\\\\",
    "\n": "\\n",
    "\r": "\\r",
}  # a step is a line; whatever else a point says stays readable


@dataclass(frozen=True, slots=True)
class Step:
    """One step: which lane moved, and what it was about to do.

    Attributes:
        lane: the label of the actor, delivery or task that moved; ``clock`` when a timer fired early and
            ``fault`` when something went wrong on purpose.
        point: what it did, in the words of the door it went through.
    """

    lane: str
    point: str

    def __str__(self) -> str:
        return f"{self.lane}: {self.point}"

    @property
    def chosen(self) -> str:
        """The lane that was chosen: itself, or the one that a fault struck instead of letting it move."""
        if self.lane != FAULT:
            return self.lane
        return self.point.partition(" before ")[2].partition(": ")[0]


@dataclass(frozen=True, slots=True)
class Schedule:
    """Everything that was decided in one execution.

    Attributes:
        choices: the scenario's data and the moments of its faults, by name; 0 is the dullest.
        steps: who moved, in order.
        test: which test it belongs to; empty when it was explored from code.
        database: the engine it was found on.
        violates: the name of the invariant that failed; empty when all held.
        checkpoints: ``all`` when unannounced checkpoints were choices like points, as an exhaustive search has it.
    """

    choices: tuple[tuple[str, int], ...]
    steps: tuple[Step, ...]
    test: str = ""
    database: str = ""
    violates: str = ""
    checkpoints: str = ""

    def text(self) -> str:
        """The saved form."""
        lines = [FORMAT]
        lines += [f"{key}: {getattr(self, key)}" for key in _HEADER if getattr(self, key)]
        lines += [f"choice {name} = {value}" for name, value in self.choices]
        lines.append(f"steps: {len(self.steps)}")
        lines += [str(step) for step in self.steps]
        return "\n".join([*map(_escaped, lines), "end", ""])

    def save(self, path: Path) -> None:
        """Writes the saved form; whoever ends the run meanwhile, the file holds a whole schedule, the old or the new one.

        Raises:
            ScheduleError: the place cannot be written to.
        """
        unfinished = path.with_name(f"{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished.write_text(self.text(), encoding="utf-8", newline="\n")
            unfinished.replace(path)
        except OSError as error:
            raise ScheduleError(
                f"the schedule cannot be saved as {path}: {error.strerror or error}"
            ) from error


def load_schedule(path: Path) -> Schedule:
    """Reads a saved schedule.

    Raises:
        ScheduleError: there is no such file, or it is not a schedule of this version, or it was cut short.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ScheduleError(f"the schedule {path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ScheduleError(f"{path} is not a schedule: it is not UTF-8 text ({error.reason})") from error
    return parse_schedule(text, source=str(path))


def parse_schedule(text: str, *, source: str = "the schedule") -> Schedule:
    """Reads the saved form.

    Raises:
        ScheduleError: it names the line, what was expected there and what stood there.
    """
    lines = [_unescaped(line) for line in text.replace("\r\n", "\n").removesuffix("\n").split("\n")]
    first = lines[0].strip() if lines else ""
    if first != FORMAT:
        ours = first.startswith(FORMAT.rsplit(" ", 1)[0])
        why = "it was written by another version of turnstile" if ours else "it is not a schedule file"
        raise ScheduleError(f"{source}:1: expected {FORMAT!r}, found {first!r}: {why}")
    header: dict[str, str] = {}
    choices: list[tuple[str, int]] = []
    number = 1
    for number, line in enumerate(lines[1:], start=2):
        if line.startswith("choice "):
            choices.append(_choice(line, f"{source}:{number}"))
            continue
        key, colon, value = line.partition(": ")
        if key == "steps" and colon:
            break
        if key not in _HEADER or not colon:
            expected = ", ".join(f"'{name}: ...'" for name in _HEADER)
            raise ScheduleError(
                f"{source}:{number}: expected {expected}, 'choice ... = n' or 'steps: n', found {line!r}"
            )
        header[key] = value
    else:
        raise ScheduleError(
            f"{source}: the file ends at line {number} without a 'steps:' line: it was cut short"
        )
    return Schedule(tuple(choices), _steps(lines, number, source), **header)


def _choice(line: str, where: str) -> tuple[str, int]:
    name, equals, value = line.removeprefix("choice ").rpartition(" = ")
    if not equals or not value.isdecimal():
        raise ScheduleError(f"{where}: expected 'choice NAME = NUMBER', found {line!r}")
    return name, int(value)


def _steps(lines: list[str], header_end: int, source: str) -> tuple[Step, ...]:
    said = lines[header_end - 1].removeprefix("steps: ")
    if not said.isdecimal():
        raise ScheduleError(
            f"{source}:{header_end}: expected 'steps: NUMBER', found {lines[header_end - 1]!r}"
        )
    body = lines[header_end:]
    if "end" not in body or body.index("end") != int(said):
        there = body.index("end") if "end" in body else len(body)
        raise ScheduleError(
            f"{source}: expected {said} steps and then 'end', found {there} lines"
            f"{' and no end' if 'end' not in body else ''}: the file was cut short or edited"
        )
    for number, line in enumerate(body[int(said) + 1 :], start=header_end + int(said) + 2):
        if line.strip():
            raise ScheduleError(f"{source}:{number}: expected the end of the file, found {line!r}")
    steps = []
    for number, line in enumerate(body[: int(said)], start=header_end + 1):
        lane, colon, point = line.partition(": ")
        if not colon:
            raise ScheduleError(f"{source}:{number}: expected 'LANE: POINT', found {line!r}")
        steps.append(Step(lane, point))
    return tuple(steps)


def _escaped(line: str) -> str:
    return "".join(_ESCAPES.get(letter, letter) for letter in line)


def _unescaped(line: str) -> str:
    letters = {escape: letter for letter, escape in _ESCAPES.items()}
    return re.sub(r"\\[\\nr]", lambda match: letters[match[0]], line)
