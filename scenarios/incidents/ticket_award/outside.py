"""What lies beyond the award: the file of the bot's database, the key server, and a tally of what was asked and refused."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from simulator import World

_of_world: WeakKeyDictionary[World, Outside] = WeakKeyDictionary()


class Outside:
    """The surroundings of one world.

    Args:
        world: whose.
        attach_fails: so many of the first ATTACHes do.
        vpn_fails: so many of the first activations do.

    Attributes:
        awards: how often an award was tried, by whoever and with whatever result.
        errors: what the retry queue was told.
        eligible: orders that should have tickets in the end.
        drawn: how many tickets there were when the contest was closed; None: it was not.
    """

    def __init__(self, world: World, *, attach_fails: int = 0, vpn_fails: int = 0) -> None:
        self._world = world
        self._attach_fails = attach_fails
        self._vpn_fails = vpn_fails
        self.awards = 0
        self.errors: list[str] = []
        self.eligible: list[str] = []
        self.drawn: int | None = None
        _of_world[world] = self

    async def can_attach(self) -> bool:
        """Whether the bot's database can be opened this time."""
        await self._world.point("ATTACH bot_db")
        self.awards += 1
        self._attach_fails -= 1
        if self._attach_fails >= 0:
            self._world.note("unable to open database: bot.db")
        return self._attach_fails < 0

    async def activate(self, _tg_id: int, order_id: str) -> None:
        """One request to the key server.

        Raises:
            ConnectionError: it has not answered as it should.
        """

        def answer() -> bool:
            self._vpn_fails -= 1
            if self._vpn_fails >= 0:
                self._world.note("502 Bad Gateway")
                return False
            return True

        if not await self._world.call(f"key server PUT {order_id}", answer):
            raise ConnectionError(f"{order_id}: the key server answered 502")


def tickets(world: World) -> int:
    """How many have been given, by the ledger."""
    [row] = world.database.rows("SELECT CAST(COALESCE(SUM(delta), 0) AS BIGINT) AS given FROM ticket_ledger")
    return int(row["given"])


def of(world: World) -> Outside:
    """The surroundings of a world, for what is judged about it."""
    return _of_world[world]
