"""The saved form of a schedule: it survives the round trip, and says what is wrong with a file that is not one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import ScheduleError
from simulator.schedule import FORMAT, Schedule, Step, load_schedule, parse_schedule

SCHEDULE = Schedule(
    choices=(("size", 2), ("crash api", 0)),
    steps=(
        Step("webhook#1", "starts"),
        Step("webhook#1", "SELECT payments"),
        Step("fault", "SIGKILL api before b: x"),
    ),
    test="tests/test_a.py::test_pays[p: 1]",
    database="sqlite",
    violates="paid_once",
)
TEXT = """\
turnstile schedule 1
test: tests/test_a.py::test_pays[p: 1]
database: sqlite
violates: paid_once
choice size = 2
choice crash api = 0
steps: 3
webhook#1: starts
webhook#1: SELECT payments
fault: SIGKILL api before b: x
end
"""


def test_a_schedule_reads_like_this() -> None:
    """The golden form: users see it, and files of it lie in repositories."""
    assert SCHEDULE.text() == TEXT
    assert parse_schedule(TEXT) == SCHEDULE


lines = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
labels = st.text(st.characters(categories=["L", "N"], include_characters=" #~.-_"), min_size=1, max_size=12)
numbers = st.integers(0, 10**9)


@given(
    st.builds(
        Schedule,
        choices=st.lists(st.tuples(lines, numbers), max_size=3).map(tuple),
        steps=st.lists(st.builds(Step, labels, lines), max_size=5).map(tuple),
        test=lines | st.just(""),
        database=st.sampled_from(["sqlite", "postgresql", ""]),
        violates=labels | st.just(""),
    )
)
def test_whatever_is_saved_is_read_again(schedule: Schedule) -> None:
    """Colons, equals signs, the word ``end``, line breaks of all kinds and odd spaces in names are data."""
    assert parse_schedule(schedule.text()) == schedule
    assert parse_schedule(schedule.text().replace("\n", "\r\n")) == schedule  # as git may check it out


def test_a_file_survives_the_way_to_the_disk_and_back(tmp_path: Path) -> None:
    """Folders are made; the text is UTF-8 on every machine."""
    path = tmp_path / "a" / "b.schedule"
    schedule = Schedule((), (Step("вебхук", "→ ждёт"),))
    schedule.save(path)
    assert load_schedule(path) == schedule
    assert b"\r" not in path.read_bytes()


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        (FORMAT, "turnstile schedule 7", r"x:1: .* found 'turnstile schedule 7': it was written by another version"),
        (FORMAT, "#!/bin/sh", r"x:1: expected 'turnstile schedule 1', found '#!/bin/sh': it is not a schedule file"),
        (TEXT, "", r"x:1: expected 'turnstile schedule 1', found '': it is not a schedule file"),
        ("database: sqlite", "engine: sqlite", r"x:3: expected 'test: ...', .* found 'engine: sqlite'"),
        ("choice size = 2", "choice size = two", r"x:5: expected 'choice NAME = NUMBER', found 'choice size = two'"),
        ("choice size = 2", "choice size 2", r"x:5: expected 'choice NAME = NUMBER', found 'choice size 2'"),
        ("steps: 3", "steps: many", r"x:7: expected 'steps: NUMBER', found 'steps: many'"),
        ("steps: 3", "steps: 2", r"x: expected 2 steps and then 'end', found 3 lines: the file was cut short or edited"),
        ("webhook#1: starts", "webhook#1 starts", r"x:8: expected 'LANE: POINT', found 'webhook#1 starts'"),
        ("before b: x\nend\n", "bef", r"x: expected 3 steps and then 'end', found 3 lines and no end: the file was cut"),
        ("end\n", "end\nmore\n", r"x:12: expected the end of the file, found 'more'"),
        ("steps: 3\nwebhook#1: starts\nwebhook#1: SELECT payments\nfault: SIGKILL api before b: x\nend\n", "",
         r"x: the file ends at line 6 without a 'steps:' line: it was cut short"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_says_where_and_what_was_expected(old: str, new: str, error: str) -> None:
    """The line, what was expected there, what stood there, and the likely cause."""
    with pytest.raises(ScheduleError, match=error):
        parse_schedule(TEXT.replace(old, new), source="x")


@given(st.integers(0, len(TEXT) - 2))
def test_no_truncated_file_is_taken_for_a_whole_one(length: int) -> None:
    """Wherever it was cut; only the last line break may be missing."""
    with pytest.raises(ScheduleError):
        parse_schedule(TEXT[:length])


def test_a_file_that_is_not_there_or_no_text_or_a_folder_is_told(tmp_path: Path) -> None:
    """In words, with its name."""
    with pytest.raises(ScheduleError, match=r"gone\.schedule cannot be read: No such file"):
        load_schedule(tmp_path / "gone.schedule")
    binary = tmp_path / "binary.schedule"
    binary.write_bytes(bytes(range(256)))
    with pytest.raises(ScheduleError, match=r"binary\.schedule is not a schedule: it is not UTF-8 text"):
        load_schedule(binary)
    with pytest.raises(ScheduleError, match="cannot be read"):
        load_schedule(tmp_path)


def test_a_place_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    """A file stands where the folder should be."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ScheduleError, match="cannot be saved as"):
        SCHEDULE.save(tmp_path / "file" / "x.schedule")
