"""Whose statements go on, or are bound up with each other, when the world stands still again after a step.

The step that gives a lock back has the effects of all that goes on because of it, and an attempt that does not get its lock
depends on all with whom it is now in one knot (`postgresql_effects`). Who that is, the server's own answers tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg.pq import TransactionStatus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from simulator.database.postgresql_connection import SimulatedConnection
    from simulator.database.postgresql_flight import InFlight

Edges = dict[int, list[int]]
"""For each server process that waits, those that it waits for."""


def tell_effects(
    flights: Sequence[InFlight],
    current: InFlight | None,
    before: Edges,
    after: Edges,
    connections: Mapping[int, SimulatedConnection],
) -> None:
    """Tells connections what the step means to them; to be called before replies are taken in.

    Args:
        flights: all statements that were in flight.
        current: the one that was sent in this step, if any was.
        before: who waited for whom before the step; without ``current``.
        after: the same after it.
        connections: the ones that are in use.
    """
    for flight in flights:
        if flight.done and flight.connection.commits(flight):
            for other in flights:
                if other is not flight and other is not current:
                    other.connection.effects.overtaken(flight.connection.effects)
    moved = _moved(flights, current, before, after)
    for flight in flights:
        if flight is not current and flight.pid in moved:
            flight.connection.effects.goes_on()
    for flight in flights:
        if not flight.done and (flight is current or flight.pid in moved):
            tell_knot(flight, after, connections)


def tell_knot(flight: InFlight, edges: Edges, connections: Mapping[int, SimulatedConnection]) -> None:
    """Tells the connection of a statement that waits, or is about to be ended because it closed a circle."""
    knot = _knot(flight.pid, edges)
    flight.connection.effects.waits([connections[pid].effects for pid in knot if pid in connections])


def _moved(flights: Sequence[InFlight], current: InFlight | None, before: Edges, after: Edges) -> set[int]:
    """Whose statement went on, to its end or to another lock.

    Who queues behind one of them has not: it waits for the same one as before, and will look when that one is done.
    """
    parked = [flight for flight in flights if flight is not current]
    moved = {
        flight.pid for flight in parked if flight.done or before.get(flight.pid) != after.get(flight.pid)
    }
    for holder in flights:
        if holder.done and _gives_back_some(
            holder
        ):  # who waits for it still may wait for another lock of its
            moved |= {flight.pid for flight in parked if holder.pid in before.get(flight.pid, ())}
    return moved


def _gives_back_some(flight: InFlight) -> bool:
    """Whether a statement may give locks back in the middle of a transaction: to a savepoint, or of the session."""
    failed = flight.connection.pgconn.transaction_status == TransactionStatus.INERROR
    shape = flight.operation.shape
    return failed or shape.taints or shape.label.startswith("ROLLBACK TO")


def _knot(start: int, edges: Edges) -> list[int]:
    """A server process, those that it waits for, those that wait for it, and so on; in the order in which they are found."""
    knot = [start]
    for pid in knot:
        near = [*edges.get(pid, []), *(each for each, blockers in edges.items() if pid in blockers)]
        knot += [each for each in dict.fromkeys(near) if each not in knot]
    return knot
