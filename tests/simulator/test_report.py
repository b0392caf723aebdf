"""The incident report: what it must say, what it must never say, and that it fits on a screen."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from simulator.actors import Webhook
from simulator.database.sqlite import SqliteDatabase
from simulator.execution import Claims, Outcome, Simulation
from simulator.oracles import Failure
from simulator.report import Facts, conflicts, in_words, incident_report
from simulator.report.statements import statement
from simulator.report.text import printable
from simulator.report.timeline import moment
from simulator.runtime.callsite import CallSite
from simulator.schedulers.replay import Wish
from simulator.trace import Access, Trace

if TYPE_CHECKING:
    from simulator.world import World

REPLAY = "pytest scenarios/test_224.py::test_twice --schedule=.turnstile/test_224.schedule"
FACTS = Facts(
    test="scenarios/test_224.py::test_twice",
    database="sqlite",
    found_at=31,
    executions=150,
    shrunk_in=88,
    minimal="no schedule with fewer switches violates it: bounded search below is complete",
    replay=REPLAY,
    claim="an expiry is the grant plus the sum of what was paid for",
    start=datetime(2026, 1, 8, 20, 27, 23, tzinfo=UTC),
)
VIOLATION = Failure("expiry_is_sum_of_paid_durations", "subscription 224 expires 30 days too late")
ACTIVATE = CallSite("shop/purchase.py", 41, "activate", "payment = await payments.get(payment_id)")
EXTEND = CallSite("shop/purchase.py", 57, "extend", "await subscriptions.extend(sub.id, payment.duration)")
COMPLETE = CallSite("shop/purchase.py", 60, "extend", "await payments.complete(payment.id)")

Move = tuple[str, str, Access | None]


def trace_of(*moves: Move, at: dict[int, float] | None = None, **more: Any) -> Trace:
    """A detailed trace of moves (lane, point, access); ``at`` says from which step on it is later."""
    trace = Trace(detailed=True, **more)
    now_s = 0.0
    for number, (lane, point, access) in enumerate(moves, start=1):
        now_s = (at or {}).get(number, now_s)
        trace.steps.append((lane, point, now_s))
        if access is not None:
            trace.record(access)
    return trace


def outcome_of(
    trace: Trace, *, preemptions: int = 0, faults: int = 0, failure: Failure = VIOLATION
) -> Outcome:
    return Outcome(
        failure=failure,
        trace=trace,
        preemptions=preemptions,
        faults=faults,
        reached=frozenset(),
        steps_of={},
        asked=len(trace.steps),
    )


def read(lane: str, table: str, rows: str, *, asked: str = "", site: CallSite | None = None) -> Move:
    sql = f"SELECT * FROM {table} WHERE id = ?" if asked else f"SELECT * FROM {table}"
    return lane, f"SELECT {table}", Access(sql, asked, rows, reads=(table,), site=site)


def write(lane: str, table: str, changed: str, number: int, **more: Any) -> Move:
    access = Access(
        f"UPDATE {table} SET it = ? WHERE id = ?",
        outcome="1 row",
        changed=(f"{table} {changed}",) if changed else (),
        writes=(table,),
        transaction=number,
    )
    return lane, f"UPDATE {table}", replace(access, **more)


def end(lane: str, table: str, number: int, how: str = "commit") -> Move:
    what = f"{how.upper()} {table}"
    writes = (table,) if how == "commit" else ()
    return lane, what, Access(what, writes=writes, transaction=number, ends=how)


def extended_twice() -> Trace:
    """One payment, two deliveries: the second one comes between the first one's look and its write."""
    paid = "id='p-1', status='paid', days=30"
    return trace_of(
        ("webhook#1", "starts", None),
        read("webhook#1", "payments", paid, asked="('p-1',)", site=ACTIVATE),
        ("webhook#2", "starts", None),
        read("webhook#2", "payments", paid, asked="('p-1',)", site=ACTIVATE),
        write("webhook#2", "subscriptions", "224: expires_at 100 -> 130", 1, site=EXTEND),
        end("webhook#2", "subscriptions", 1),
        write("webhook#2", "payments", "'p-1': status 'paid' -> 'completed'", 2, site=COMPLETE),
        end("webhook#2", "payments", 2),
        write("webhook#1", "subscriptions", "224: expires_at 130 -> 160", 3, site=EXTEND),
        end("webhook#1", "subscriptions", 3),
        at={9: 5.25},
        violated_at=10,
        switches=[2],
        choices=[("plan", 0), ("crash api", 0), ("days", 2)],
    )


GOLDEN = """\
expiry_is_sum_of_paid_durations: subscription 224 expires 30 days too late
  claimed: an expiry is the grant plus the sum of what was paid for
  execution 31 of 150 on sqlite, shrunk in 88, 1 switch, no fault
  no schedule with fewer switches violates it: bounded search below is complete

 step  lane                  what                              outcome
       2026-01-08 20:27:23 UTC
    2  webhook#1             SELECT payments WHERE id = 'p-1'  id='p-1', status='paid', days=30
    4             webhook#2  SELECT payments WHERE id = 'p-1'  id='p-1', status='paid', days=30                   switch
    5             webhook#2  UPDATE subscriptions              224: expires_at 100 -> 130
    6             webhook#2  COMMIT subscriptions              now visible to others
    7             webhook#2  UPDATE payments                   'p-1': status 'paid' -> 'completed'
    8             webhook#2  COMMIT payments                   now visible to others
       20:27:28.250 (+5.25 s)
    9  webhook#1             UPDATE subscriptions              224: expires_at 130 -> 160
   10  webhook#1             COMMIT subscriptions              now visible to others
       ^ violated here: expiry_is_sum_of_paid_durations

conflict
  both read payments with status='paid' (webhook#1 at step 2, webhook#2 at step 4) before webhook#2 changed that
    (payments 'p-1': status 'paid' -> 'completed', step 7, visible at 8); both went on to write: webhook#2:
    subscriptions 224: expires_at 100 -> 130 (step 5, visible at 6) and webhook#1: subscriptions 224: expires_at 130 ->
    160 (step 9, visible at 10)

where
  shop/purchase.py:41  step 2, 4  activate: payment = await payments.get(payment_id)
  shop/purchase.py:57  step 5, 9  extend: await subscriptions.extend(sub.id, payment.duration)
  shop/purchase.py:60  step 7     extend: await payments.complete(payment.id)

choices: days = 2

replay: pytest scenarios/test_224.py::test_twice --schedule=.turnstile/test_224.schedule"""


def test_the_report_of_a_doubled_extension_reads_like_this() -> None:
    """The golden report: a change of it is meant to be seen."""
    assert incident_report(VIOLATION, outcome_of(extended_twice(), preemptions=1), FACTS) == GOLDEN


def test_two_who_read_the_same_state_and_both_write_are_the_story() -> None:
    """The double effect comes first, and two lanes have one story."""
    [conflict] = conflicts(extended_twice())
    assert (conflict.kind, conflict.table) == ("both", "payments")
    assert in_words(conflict) == (
        "both read payments with status='paid' (webhook#1 at step 2, webhook#2 at step 4) before webhook#2 changed "
        "that (payments 'p-1': status 'paid' -> 'completed', step 7, visible at 8); both went on to write: webhook#2: "
        "subscriptions 224: expires_at 100 -> 130 (step 5, visible at 6) and webhook#1: subscriptions 224: expires_at "
        "130 -> 160 (step 9, visible at 10)"
    )


def test_a_value_that_was_read_changed_and_written_over_is_a_lost_update() -> None:
    """100, 160, 130: whoever wrote last had not seen what it wrote over."""
    trace = trace_of(
        read("first", "subscriptions", "id=224, expires_at=100"),
        write("second", "subscriptions", "224: expires_at 100 -> 160", 1),
        end("second", "subscriptions", 1),
        write("first", "subscriptions", "224: expires_at 160 -> 130", 2),
        end("first", "subscriptions", 2),
    )
    [conflict] = conflicts(trace)
    assert in_words(conflict) == (
        "first read subscriptions with expires_at=100 at step 1, before second's change of subscriptions was visible "
        "(subscriptions 224: expires_at 100 -> 160, step 2, visible at 3), and then wrote over it: subscriptions 224: "
        "expires_at 160 -> 130 (step 4, visible at 5)"
    )


def test_an_update_that_starts_from_what_it_finds_overwrites_nothing() -> None:
    """``x = x + 30`` after somebody else's change is no lost update, whatever was read before."""
    trace = trace_of(
        read("first", "subscriptions", "id=224, expires_at=100"),
        write("second", "subscriptions", "224: expires_at 100 -> 160", 1),
        end("second", "subscriptions", 1),
        write(
            "first",
            "subscriptions",
            "224: expires_at 160 -> 190",
            2,
            sql="UPDATE s SET expires_at = expires_at + ?",
        ),
        end("first", "subscriptions", 2),
    )
    assert [conflict.kind for conflict in conflicts(trace)] == ["stale"]


def test_a_reader_who_acts_on_what_is_no_longer_so_is_told_with_the_steps() -> None:
    """Read, changed by another, acted all the same: the coarsest story."""
    trace = trace_of(
        read("webhook#1", "payments", "id='p-1', status='paid'"),
        write("poll", "payments", "'p-1': status 'paid' -> 'completed'", 0, ends="commit"),
        write("webhook#1", "subscriptions", "224: expires_at 130 -> 160", 2),
        end("webhook#1", "subscriptions", 2),
    )
    [conflict] = conflicts(trace)
    assert in_words(conflict) == (
        "webhook#1 read payments with status='paid' at step 1, before poll's change of payments was visible (payments "
        "'p-1': status 'paid' -> 'completed', step 2), and went on to UPDATE subscriptions: subscriptions 224: "
        "expires_at 130 -> 160 (step 3, visible at 4)"
    )


@pytest.mark.parametrize("how", ["rolled back", "left open", "failed", "no row"])
def test_a_write_that_nobody_ever_saw_is_in_no_conflict(how: str) -> None:
    """Rolled back, never committed, failed or without effect: it cannot have surprised anybody."""
    trace = trace_of(
        read("webhook#1", "payments", "id='p-1', status='paid'"),
        write("poll", "payments", "'p-1': status 'paid' -> 'completed'", 1)
        if how in {"rolled back", "left open"}
        else write(
            "poll",
            "payments",
            "",
            1,
            outcome="0 rows" if how == "no row" else "OperationalError: database is locked",
        ),
        *([end("poll", "payments", 1, "rollback")] if how == "rolled back" else []),
        *([end("poll", "payments", 1)] if how in {"no row", "failed"} else []),
        write("webhook#1", "payments", "'p-1': status 'paid' -> 'completed'", 2),
        end("webhook#1", "payments", 2),
    )
    assert conflicts(trace) == []


def test_a_reader_who_looked_again_knew_better() -> None:
    """A second look after the change ends the story; the same answer from the same snapshot does not."""

    def trace(again: Access) -> Trace:
        first = Access("SELECT 1", "", "status='paid'", reads=("payments",), transaction=3)
        return trace_of(
            ("webhook#1", "SELECT payments", first),
            write("poll", "payments", "'p-1': status 'paid' -> 'completed'", 0, ends="commit"),
            ("webhook#1", "SELECT payments", again),
            write("webhook#1", "subscriptions", "224: expires_at 130 -> 160", 3),
            end("webhook#1", "subscriptions", 3),
        )

    fresh = Access("SELECT 1", "", "status='completed'", reads=("payments",))
    snapshot = Access("SELECT 1", "", "status='paid'", reads=("payments",), transaction=3)
    assert conflicts(trace(fresh)) == []
    assert len(conflicts(trace(snapshot))) == 1


def test_faults_timers_waits_and_notes_are_marked_plainly() -> None:
    """Whatever nobody did by itself stands out of the lanes."""
    waiting = Access(
        "UPDATE payments SET a = 1", "", "OperationalError: database is locked", writes=("payments",)
    )
    trace = trace_of(
        write("poll", "payments", "'p-1': status 'paid' -> 'completed'", 1),
        ("webhook#1", "UPDATE payments", waiting),
        ("clock", "timer due at +5.000 s fires while operations are in flight", None),
        ("fault", "SIGKILL bot before poll COMMIT payments", None),
        (
            "webhook#1",
            "UPDATE payments after waiting",
            replace(waiting, outcome="1 row", changed=("payments 7: a 0 -> 1",)),
        ),
        at={3: 5},
    )
    trace.notes = {
        1: ["waits for the write lock held by poll"],
        3: ["bot dies: its open transactions are rolled back"],
    }
    lines = incident_report(VIOLATION, outcome_of(trace, faults=1), FACTS).splitlines()
    text = "\n".join(re.sub(r"  +", " | ", line) for line in lines)
    assert "webhook#1 | UPDATE payments | waits for the write lock held by poll" in text
    assert "TIMER | due at +5.000 s fires while operations are in flight" in text
    assert (
        "FAULT | SIGKILL bot before poll COMMIT payments; bot dies: its open transactions are rolled back"
        in text
    )
    assert "UPDATE payments (waited) | 7: a 0 -> 1" in text
    assert "20:27:28 (+5 s)" in text
    assert "database is locked" not in text
    assert "no switch (1 early timer included), 1 fault" in text


def long_trace(steps: int) -> Trace:
    moves = [read("webhook#1", "payments", "status='paid'") for _ in range(steps)]
    story = extended_twice()
    known = [
        (lane, point, story.accesses.get(at, [None])[0]) for at, (lane, point, _) in enumerate(story.steps)
    ]
    return trace_of(*known[:2], *moves, *known[2:])


def test_the_dull_middle_of_a_long_run_is_counted() -> None:
    """What happened is not hidden, only counted; what matters stays."""
    text = incident_report(VIOLATION, outcome_of(long_trace(300), preemptions=1), FACTS)
    assert "... 299 more steps of webhook#1: 299 x SELECT payments" in text
    assert "expires_at 130 -> 160" in text
    assert len(text.splitlines()) <= 50


def busy_trace(lanes: int, rounds: int) -> Trace:
    """Everybody interrupts everybody, as before shrinking, and says much."""
    moves = [
        write(
            f"a lane with a long name#{lane}",
            "things",
            f"{lane}: value {number} -> {number + 1}, {'x' * 90}",
            0,
            ends="commit",
        )
        for number in range(rounds)
        for lane in range(lanes)
    ]
    times = {number: number / 3 for number in range(2, len(moves) + 1)}
    return trace_of(*moves, at=times, switches=list(range(1, len(moves))))


@pytest.mark.parametrize("width", [60, 80, 120, 200])
@pytest.mark.parametrize("lanes", [1, 4, 9])
def test_no_line_is_wider_than_the_screen_and_the_report_is_not_endless(width: int, lanes: int) -> None:
    """Only the command that replays it may be longer: it is copied as a whole."""
    failure = replace(VIOLATION, reason="x" * 500, details=tuple("y" * 300 for _ in range(30)))
    facts = replace(FACTS, claim="c " * 300, minimal="m " * 300)
    lines = incident_report(failure, outcome_of(busy_trace(lanes, 40)), facts, width=width).splitlines()
    assert [line for line in lines[:-1] if len(line) > width] == []
    assert lines[-1] == f"replay: {REPLAY}"
    assert len(lines) <= 60


def test_colour_changes_nothing_but_the_colour() -> None:
    """Without its codes, the painted report is the plain one; without colour there is no code in it."""
    outcome = outcome_of(extended_twice(), preemptions=1)
    plain = incident_report(VIOLATION, outcome, FACTS)
    painted = incident_report(VIOLATION, outcome, FACTS, colour=True)
    assert "\x1b" not in plain
    assert painted != plain
    assert re.sub(r"\x1b\[[0-9;]*m", "", painted) == plain


def test_what_a_row_holds_does_nothing_to_the_terminal() -> None:
    """Escape sequences and line breaks in data are data."""
    trace = trace_of(read("webhook#1", "payments", "name='\x1b[2J\nboo'"), ("webhook#1", "looks\tup\r", None))
    text = incident_report(replace(VIOLATION, reason="bad\nrow \x1b[31m"), outcome_of(trace), FACTS)
    assert not set(text) & set("\x1b\r\t")
    assert printable("a\n\x1bb") == "a b"


@pytest.mark.parametrize(
    ("sql", "parameters", "shown"),
    [
        ("SELECT * FROM t WHERE t.id = ?", "('p-1',)", "SELECT t WHERE id = 'p-1'"),
        ("SELECT ? FROM t WHERE a=? AND b=? LIMIT ?", "(0, 1, 'x', 9)", "SELECT t WHERE a=1 AND b='x'"),
        ("SELECT * FROM t WHERE id = %(id)s::INTEGER", "{'id': 5}", "SELECT t WHERE id = 5"),
        ("SELECT * FROM t WHERE id = ?", "(1, 2)", "SELECT t (1, 2)"),
        ("SELECT * FROM t WHERE a = 'why?' AND b = ?", "(1,)", "SELECT t (1,)"),
        ("SELECT * FROM t WHERE a = 'fine' AND b = ?", "(1,)", "SELECT t WHERE a = 'fine' AND b = 1"),
        ("SELECT * FROM t WHERE a IN (SELECT b FROM t WHERE c = ?)", "(1,)", "SELECT t (1,)"),
        ("SELECT * FROM t WHERE id = ?", "(<object at 0x7f>,)", "SELECT t (<object at 0x7f>,)"),
    ],
)
def test_a_condition_is_filled_in_only_where_it_is_plain_to_see(
    sql: str, parameters: str, shown: str
) -> None:
    """A wrong value would send the reader after the wrong row; then the parameters are shown as they were sent."""
    assert statement(Access(sql, parameters, reads=("t",)), "SELECT t", 60) == shown


def test_moments_are_wall_time_with_the_date_when_it_matters() -> None:
    """The first moment and another day bear the date; an unknown start leaves the seconds."""
    assert moment(FACTS.start, 0, first=True) == "2026-01-08 20:27:23 UTC"
    assert moment(FACTS.start, 1.5) == "20:27:24.500 (+1.5 s)"
    assert moment(FACTS.start, 86_400) == "2026-01-09 20:27:23 UTC (+86400 s)"
    assert moment(None, 300) == "+300 s"


def test_an_execution_without_a_database_has_a_report_too() -> None:
    """Lanes, points and the command are enough; what is not there is not spoken of."""
    trace = trace_of(("one", "reads the counter", None), ("two", "reads the counter", None), violated_at=2)
    text = incident_report(VIOLATION, outcome_of(trace), replace(FACTS, claim="", minimal="", start=None))
    assert "conflict" not in text
    assert "where" not in text
    assert "reads the counter" in text
    empty = incident_report(replace(VIOLATION, kind="deadlock"), outcome_of(Trace()), FACTS)
    assert empty.splitlines()[-1] == f"replay: {REPLAY}"


SCHEMA = """
CREATE TABLE payments (id TEXT PRIMARY KEY, status TEXT, days INTEGER);
CREATE TABLE subscriptions (id INTEGER PRIMARY KEY, expires_at INTEGER);
"""


async def check_then_extend(world: World) -> None:
    assert isinstance(world.database, SqliteDatabase)
    async with world.database.connection() as connection:
        async with connection.execute("SELECT status, days FROM payments WHERE id = ?", ("p-1",)) as cursor:
            row = await cursor.fetchone()
            assert row is not None
            status, days = row
        if status == "completed":
            return
        await connection.execute(
            "UPDATE subscriptions SET expires_at = expires_at + ? WHERE id = ?", (days, 224)
        )
        await connection.commit()
        await connection.execute("UPDATE payments SET status = 'completed' WHERE id = ?", ("p-1",))
        await connection.commit()


async def one_payment_twice_delivered(world: World) -> None:
    world.database.insert("payments", id="p-1", status="paid", days=30)
    world.database.insert("subscriptions", id=224, expires_at=100)
    world.run(Webhook(check_then_extend, world, deliveries=2, name="webhook"))
    await world.quiesce()


class expires_at_130:  # noqa: N801 - claims are named like functions
    name = "expires_at_130"
    sql = "SELECT id, expires_at FROM subscriptions WHERE expires_at > 130"


def test_a_real_execution_is_reported_the_same_each_time() -> None:
    """Through the real door: rows, lines of code and the conflict are there, no addresses, and the same twice."""
    texts = []
    for _ in range(2):
        with Simulation(
            one_payment_twice_delivered, Claims(eventually=(expires_at_130(),)), SqliteDatabase(SCHEMA)
        ) as sim:
            outcome = sim.execute(Wish({}, [("webhook#1", 2), ("webhook#2", 99)]), detailed=True)
        assert outcome.failure is not None
        texts.append(incident_report(outcome.failure, outcome, FACTS))
    assert texts[0] == texts[1]
    assert "expires_at_130: id = 224, expires_at = 160" in texts[0]
    assert "both read payments with status='paid' (webhook#1 at step 2, webhook#2 at step 4)" in texts[0]
    assert re.search(
        r"test_report\.py:\d+  step 2, 4 +check_then_extend: async with connection\.execute", texts[0]
    )
    assert texts[0].count("  switch\n") == outcome.preemptions == 1
    assert not re.search(r"0x[0-9a-f]{4}|object at", texts[0])
