"""PostgreSQL in production: psycopg's async connection, with trio where it would wait on asyncio.

psycopg drives libpq through generators which say what they wait for; the loop that waits is the only part that knows an
event loop. `connection_class` overrides that loop. Connecting is driven on trio as well and not in a thread: libpq's
own connecting is the same kind of generator, it can be cancelled at any moment without leaving a thread behind, and a
simulator that has closed the door on threads does not need an exception for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

import trio
from sqlalchemy.engine import URL

from reference.storage.flavour import Flavour

if TYPE_CHECKING:
    import psycopg

T = TypeVar("T")

CONNECT_TIMEOUT_S = 10.0  # libpq's asynchronous connect knows no timeout of its own
CANCEL_TIMEOUT_S = (
    2.0  # for telling the server that nobody waits for an answer any more: a courtesy, not a guarantee
)

ANOTHER_TRY = {"40001": "serialization failure", "40P01": "deadlock detected", "55P03": "lock not available"}
# https://www.postgresql.org/docs/current/errcodes-appendix.html


def require_driver() -> None:
    """Say what to install when psycopg is missing, before SQLAlchemy says it less clearly."""
    if find_spec("psycopg") is None:
        raise ModuleNotFoundError(
            'PostgreSQL needs psycopg, which is not installed: pip install "turnstile[postgresql]"'
        )


@cache
def connection_class() -> type[psycopg.AsyncConnection[Any]]:
    """`psycopg.AsyncConnection` on trio; made on first use, because psycopg is an optional dependency."""
    import psycopg
    from psycopg.pq import TransactionStatus

    class TrioPsycopg(psycopg.AsyncConnection[Any]):
        """A psycopg connection of one task. psycopg's own lock is asyncio's: uncontended, it never waits."""

        async def wait(
            self,
            gen: Generator[Any, Any, T],
            interval: float = 0.0,  # noqa: ARG002 - asyncio's polling for Ctrl-C; trio delivers that by itself
            timeout: float | None = None,
        ) -> T:
            """Run a generator of psycopg to its end."""
            try:
                with trio.fail_after(timeout if timeout is not None else float("inf")):
                    return await drive(gen, lambda state: (self.pgconn.socket, state))
            except trio.Cancelled:
                if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                    await self._abandon()
                raise

        async def _abandon(self) -> None:
            """Cancel the statement on the server and hang up: an answer on its way would be taken for the next one's."""
            cancel = self.pgconn.get_cancel()
            with trio.CancelScope(shield=True), trio.move_on_after(CANCEL_TIMEOUT_S):
                await trio.to_thread.run_sync(cancel.cancel, abandon_on_cancel=True)
            await self.close()

    return TrioPsycopg


async def drive(gen: Generator[Any, Any, T], asks: Callable[[Any], tuple[int, Any]]) -> T:
    """Advance one of psycopg's generators until it returns, waiting on trio for the readiness that it asks for.

    Args:
        gen: yields what it waits for, and is sent what is ready.
        asks: turns what was yielded into a file descriptor and a `psycopg.waiting.Wait`.
    """
    from psycopg.waiting import Ready, Wait

    ready: Ready | None = None
    while True:
        try:
            fd, wants = asks(gen.send(ready))
        except StopIteration as done:
            result: T = done.value
            return result
        if wants == Wait.R:
            await trio.lowlevel.wait_readable(fd)
            ready = Ready.R
        elif wants == Wait.W:
            await trio.lowlevel.wait_writable(fd)
            ready = Ready.W
        else:
            ready = Ready(await _either(fd))


async def _either(fd: int) -> int:
    """Wait until a socket is readable or writable, whichever comes first; returns the `Ready` bits."""
    from psycopg.waiting import Ready

    ready = 0
    async with trio.open_nursery() as nursery:

        async def note(bit: int, wait: Callable[[int], Awaitable[None]]) -> None:
            nonlocal ready
            await wait(fd)
            ready |= bit
            nursery.cancel_scope.cancel()

        nursery.start_soon(note, Ready.R, trio.lowlevel.wait_readable)
        nursery.start_soon(note, Ready.W, trio.lowlevel.wait_writable)
    return ready


async def connect_on_trio(conninfo: str) -> psycopg.AsyncConnection[Any]:
    """Open a connection without blocking trio.

    Raises:
        psycopg.OperationalError: no server answered, or it refused; also after `CONNECT_TIMEOUT_S`.
    """
    import psycopg
    from psycopg import generators

    try:
        with trio.fail_after(CONNECT_TIMEOUT_S):
            pgconn = await drive(generators.connect(await _with_addresses(conninfo)), lambda asked: asked)
    except trio.TooSlowError:
        raise psycopg.OperationalError(
            f"the server did not let us in within {CONNECT_TIMEOUT_S:.0f} s"
        ) from None
    return connection_class()(pgconn)


async def _with_addresses(conninfo: str) -> str:
    """Resolve host names on trio: libpq, asked to connect asynchronously, still resolves them in the calling thread.

    libpq tries a comma-separated list one after another, so every address of a name becomes an entry of its own.
    """
    import psycopg
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    parameters = conninfo_to_dict(conninfo)
    host = str(parameters.get("host") or "")
    if not host or host.startswith("/") or "," in host or parameters.get("hostaddr"):
        return conninfo  # a socket in the file system, or an answer that somebody else has worked out already
    try:
        found = await trio.socket.getaddrinfo(host, None, type=trio.socket.SOCK_STREAM)
    except OSError as error:
        raise psycopg.OperationalError(f"cannot resolve host {host!r}: {error}") from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    parameters["host"] = ",".join([host] * len(addresses))
    parameters["hostaddr"] = ",".join(addresses)
    return make_conninfo("", **parameters)


def connector(url: URL) -> Callable[[], Awaitable[psycopg.AsyncConnection[Any]]]:
    """The production connector for ``postgresql+psycopg://...``; the URL's query holds any other libpq parameter."""
    conninfo = url.set(drivername="postgresql").render_as_string(hide_password=False)

    async def connect() -> psycopg.AsyncConnection[Any]:
        return await connect_on_trio(conninfo)

    return connect


def conflict(error: BaseException) -> str | None:
    """Say which conflict with another transaction this is, or None."""
    return ANOTHER_TRY.get(getattr(error, "sqlstate", None) or "")


FLAVOUR = Flavour(
    drivername="postgresql+psycopg",
    begin_writing=None,  # psycopg sends BEGIN before the first statement, at the server's level: READ COMMITTED
    begin_reading="SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
    dialect_facts={
        "server_version_info": (14,),  # the oldest server that this project promises to work with
        "default_schema_name": "public",
        "default_isolation_level": "READ COMMITTED",
        "supports_smallserial": True,
        "supports_identity_columns": True,
        "_supports_drop_index_concurrently": True,
        "_backslash_escapes": False,  # standard_conforming_strings has been on since PostgreSQL 9.1
        "_has_native_hstore": False,
    },
    require_driver=require_driver,
    connector=connector,
    may_hang_up=True,
    conflict=conflict,
)
