"""What every database door offers. The two engines behind it are ``sqlite`` and ``postgresql``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from simulator.errors import SimulatorError

if TYPE_CHECKING:
    from simulator.clock import Clock
    from simulator.runtime.conductor import Conductor


class Database(Protocol):
    """A real engine under the simulator's control.

    Scenarios use ``connect``, ``url``, ``insert`` and ``rows``; the rest is for the simulation.

    Attributes:
        name: ``sqlite``, ``postgresql`` or ``none``.
        present: whether there is a database at all.
        url: what SQLAlchemy's ``create_async_engine`` needs beside ``connect``.
        tells_effects: whether it can say what each step read and wrote (`simulator.effects`).
        one_writer: whether one transaction at a time can write, with a lock on everything.
        recording: whether it does; to be set before ``open``.
    """

    name: str
    present: bool
    url: str
    tells_effects: bool
    one_writer: bool
    recording: bool

    async def connect(self) -> Any:
        """Opens a connection of the driver's own kind for the process that asks."""

    def insert(self, table: str, **columns: Any) -> None:
        """Stores a row, committed, at no point of any schedule. For set-up."""

    def rows(self, sql: str, *parameters: Any) -> list[dict[str, Any]]:
        """Reads committed state on a connection of its own; ``?`` stands for a parameter on every engine."""

    def open(self, conductor: Conductor, clock: Clock) -> None:
        """Called once per exploration, before the first execution."""

    def reset(self) -> None:
        """Back to the freshly made schema."""

    def drop_connections(self, process: str | None) -> None:
        """Rolls back and closes what a process holds (every process: None), at once."""

    def would_wait(self, lane: str) -> bool:
        """Whether all that a lane's next step would come to is that it waits for a lock; False where nobody knows."""

    def section_of(self, lane: str) -> int:
        """The number of the critical section that a lane is in; 0: in none, or there is not one lock for the whole engine."""

    def is_looking(self) -> bool:
        """Whether anybody holds a snapshot without a lock, from which more may be read."""

    def state(self) -> dict[str, list[str]]:
        """All committed rows, as text, by table; for comparing two executions."""

    def close(self) -> None:
        """Gives everything back."""


class NoDatabase:
    """Stands where a scenario has no database; using it says what to do."""

    name = "none"
    present = False
    url = ""
    tells_effects = True
    one_writer = False
    recording = False

    def open(self, conductor: Conductor, clock: Clock) -> None:
        """Nothing to open."""

    def reset(self) -> None:
        """Nothing to reset."""

    def drop_connections(self, process: str | None) -> None:
        """Nothing to drop."""

    def would_wait(self, lane: str) -> bool:  # noqa: ARG002
        """Nobody waits."""
        return False

    def section_of(self, lane: str) -> int:  # noqa: ARG002
        """Nobody locks."""
        return 0

    def is_looking(self) -> bool:
        """Nobody looks."""
        return False

    def state(self) -> dict[str, list[str]]:
        """Nothing."""
        return {}

    def close(self) -> None:
        """Nothing to close."""

    async def connect(self) -> Any:
        """There is none."""
        raise self._missing()

    def insert(self, table: str, **columns: Any) -> None:  # noqa: ARG002
        """There is none."""
        raise self._missing()

    def rows(self, sql: str, *parameters: Any) -> list[dict[str, Any]]:  # noqa: ARG002
        """There is none."""
        raise self._missing()

    def _missing(self) -> SimulatorError:
        return SimulatorError("this scenario has no database: give @simulate(schema=...) the tables it needs")
