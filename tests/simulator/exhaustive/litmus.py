"""Programs of the literature, payment-shaped: what every search for a proof is tried on."""

from __future__ import annotations

from tests.simulator.exhaustive.brute_force import Program

READ = "SELECT v FROM t WHERE id = 1"
ADD = "UPDATE t SET v = v + 1 WHERE id = 1"
IN_TWO = [READ, "UPDATE t SET v = 1 WHERE id = 1"]
LOST_UPDATE = ["BEGIN", *IN_TWO, "COMMIT"]
CHECK_THEN_ACT = [READ, "BEGIN IMMEDIATE", ADD, "COMMIT"]


def locked(number: int) -> Program:
    """Appends a digit under the write lock."""
    return ["BEGIN IMMEDIATE", f"UPDATE t SET v = v * 10 + {number} WHERE id = 1", "COMMIT"]


def own_row(number: int) -> Program:
    """A transaction on a row of one's own."""
    return ["BEGIN", f"UPDATE t SET v = {number} WHERE id = {number}", "COMMIT"]


# Exploration's litmus programs, those of ACIDRain's patterns that need no application code, and a few of our own.
LITMUS: dict[str, list[Program]] = {
    "counter": [[ADD], [ADD]],
    "counter of three": [[ADD], [ADD], [ADD]],
    "read and write": [IN_TWO, IN_TWO],
    "lost update": [LOST_UPDATE, LOST_UPDATE],
    "locked counter": [locked(1), locked(2)],
    "read skew": [
        ["UPDATE t SET v = 1 WHERE id = 1", "UPDATE t SET v = 1 WHERE id = 2"],
        ["BEGIN", READ, "SELECT v FROM t WHERE id = 2", "COMMIT"],
    ],
    "write skew": [
        ["BEGIN", "SELECT v FROM t WHERE id = 2", "UPDATE t SET v = 1 WHERE id = 1", "COMMIT"],
        ["BEGIN", READ, "UPDATE t SET v = 1 WHERE id = 2", "COMMIT"],
    ],
    "webhook before commit": [["BEGIN", ADD, "SELECT 1", "COMMIT"], [READ, READ]],
    "check, then act": [CHECK_THEN_ACT, CHECK_THEN_ACT],
    "voucher": [
        ["SELECT COUNT(*) FROM t WHERE v = 7", "INSERT INTO t (v) VALUES (7)"],
        ["SELECT COUNT(*) FROM t WHERE v = 7", "INSERT INTO t (v) VALUES (7)"],
    ],
    "cart total": [
        ["INSERT INTO t (id, v) VALUES (3, 5)"],
        ["SELECT SUM(v) FROM t", "INSERT INTO t (id, v) SELECT 10 + id, v FROM t"],
    ],
    "rolled back": [["BEGIN IMMEDIATE", ADD, "ROLLBACK"], [READ, ADD]],
    "disjoint rows": [own_row(1), own_row(2)],
    "disjoint reads": [[READ], ["SELECT v FROM t WHERE id = 2"]],
    "one key for two": [
        ["INSERT INTO t (id, v) VALUES (3, 1)"],
        ["INSERT INTO t (id, v) VALUES (3, 2)", READ],
    ],
    "moves into view": [
        ["UPDATE t SET id = 3 WHERE id = 1"],
        ["SELECT v FROM t WHERE id = 3", "SELECT v FROM t WHERE id = 1"],
    ],
    "a snapshot grows old": [
        ["BEGIN", READ, "SELECT v FROM t WHERE id = 2", ADD, "COMMIT"],
        ["UPDATE t SET v = 5 WHERE id = 2"],
    ],
}

# The first three among more actors: too many interleavings for a brute force, but for the counters.
OF_MORE: dict[str, list[Program]] = {
    "counter of four": [[ADD]] * 4,
    "locked counter of three": [locked(1), locked(2), locked(3)],
    "locked counter of four": [locked(1), locked(2), locked(3), locked(4)],
    "lost update of three": [LOST_UPDATE] * 3,
    "lost update of four": [LOST_UPDATE] * 4,
}

_READ_AND_WRITE = ["BEGIN", *IN_TWO]
FOUR_AND_A_LOCK: list[Program] = [LOST_UPDATE, _READ_AND_WRITE, LOST_UPDATE, [READ]]
"""Two attempts in vain for the lock that a third holds, in either order with its commit, and a reader."""
