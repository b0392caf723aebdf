"""A private PostgreSQL server that the project starts itself, and the databases made on it.

It is not a pool, not an engine and not for data that anyone wants to keep: everything is switched to "fast and
forgettable", and the folder goes with the server. Start it before a world runs; nothing here is simulated.
"""

from __future__ import annotations

import atexit
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit, urlunsplit

from simulator.database.server_binaries import (
    HOW_TO_GET_ONE,
    MAJOR_MIN,
    Binaries,
    PostgresUnavailable,
    copy_programs,
    find_binaries,
    traversable,
)
from simulator.errors import DatabaseUnavailable

if TYPE_CHECKING:
    import psycopg

SOCKET_PATH_BYTES_MAX = 103  # sun_path holds 108 bytes on Linux and 104 on macOS, one of them the final NUL
ROOM_BYTES_MIN = 512 * 2**20  # 30 MB new, 64 MB of WAL, then data; Docker's /dev/shm has 64 MB in all
POLL_S = 0.005
POLLS_MAX = 12_000  # a minute; counted, because time.monotonic() stands still wherever freezegun is at work
STOP_S = 15.0  # PostgreSQL itself kills what has not left 5 s after an immediate shutdown

SETTINGS = {
    # Nothing has to survive this server.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    # The harness watches lock waits and picks the victim of a deadlock; a timer of the server would race with it.
    "deadlock_timeout": "1h",
    "lock_timeout": "0",
    "statement_timeout": "0",
    # No work that our statements did not ask for, and none spread over helpers: both would change plans and order.
    "autovacuum": "off",
    "jit": "off",
    "max_logical_replication_workers": "0",
    "max_parallel_workers_per_gather": "0",
    "timezone": "UTC",
    # Small: every worker of pytest-xdist has a server of its own.
    "max_connections": "100",
    "shared_buffers": "32MB",
    "huge_pages": "off",
    # In the data folder, so that it goes with it: the usual kind outlives a killed server, in /dev/shm.
    "dynamic_shared_memory_type": "mmap",
    # LOG carries why a start failed (a socket that cannot be bound); ERROR, which ranks below it here, would write
    # a line for every provoked unique violation.
    "log_min_messages": "log",
    "log_checkpoints": "off",
    "checkpoint_warning": "0",
}

# The server's parent is this small shell, not we, and its standard input is a pipe that only we hold open. However
# we end (SIGKILL too) the kernel closes the pipe, `read` returns and the same few lines clean up. Not taken:
# PR_SET_PDEATHSIG needs preexec_fn, which is unsafe beside threads, exists on Linux only, and fires when the
# *thread* that started the server ends. A shell rather than Python: /bin/sh is there for every user, whereas root's
# virtual environment cannot be entered by the unprivileged user that the server must run as.
# - initdb runs to its end even when we die meanwhile, so no folder is left half made.
# - Its standard output stays with the server alone: its end of file tells Python that the server has gone.
# - TERM, then QUIT (immediate shutdown): a shell starts background jobs with QUIT ignored, so a server that has
#   not yet installed its handlers would miss QUIT; by TERM alone, one that has would wait for its clients.
GUARD = """
initdb=$1 postgres=$2 folder=$3 server=
shift 3
if "$initdb" -D "$folder/data" -U turnstile -A trust -E UTF8 --locale=C --no-sync --no-instructions \
    --wal-segsize=1 </dev/null >"$folder/log" 2>&1
then
    "$postgres" -D "$folder/data" "$@" </dev/null 2>>"$folder/log" &
    server=$!
fi
exec >&-
read -r _
if [ -n "$server" ]; then
    kill -TERM "$server"
    kill -QUIT "$server"
    wait "$server"
fi
cd /
rm -rf "$folder"
exit 0
"""


class DatabaseUrlError(DatabaseUnavailable):
    """The database URL that somebody gave cannot be used; one line, never with the password."""


class PrivateServer:
    """A running server in a temporary folder of its own; it ends with `stop`, the `with` block, or this process.

    Attributes:
        url: Of the database `postgres`; `psycopg.connect` takes it as it is.
        folder: Holds data, log and socket, and is gone after `stop`.
        process_id: Of the postmaster.

    A forked child may connect to the server, but only the process that started it stops it.
    """

    def __init__(self, binaries: Binaries | None = None) -> None:
        """Start the server and wait until it takes connections.

        Args:
            binaries: Which programs to run; `find_binaries()` when left out.

        Raises:
            PostgresUnavailable: There are no binaries, or they do not start; then the end of the log is told.
        """
        binaries = binaries or find_binaries()
        if os.name != "posix" or binaries is None:
            raise PostgresUnavailable(f"found no PostgreSQL to start: {HOW_TO_GET_ONE}")
        user = _unprivileged_user()
        copied = user is not None and not traversable(binaries.folder)
        self._owner = os.getpid()
        self.process_id = 0
        # Docker mounts /dev/shm without the right to execute, so copied programs need an ordinary folder.
        self.folder = Path(tempfile.mkdtemp(prefix="turnstile-", dir=_room(in_memory=not copied)))
        try:
            programs = copy_programs(binaries.folder, self.folder) if copied else binaries.folder
            if user is not None:
                for path in [self.folder, *self.folder.rglob("*")]:
                    shutil.chown(path, user=user[0], group=user[1])
            address, self.url = _address(self.folder)
            settings = [f"--{name}={value}" for name, value in (SETTINGS | address).items()]
            self._guard = _start_guard(programs, self.folder, settings, user)
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        atexit.register(self.stop)
        try:
            self._await_ready()
        except BaseException:  # Ctrl-C included: nobody else holds the server yet
            self.stop()
            raise

    def __enter__(self) -> PrivateServer:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Shut the server down at once, whoever is connected, and remove its folder; a second call does nothing."""
        if os.getpid() != self._owner or self._guard.returncode is not None:
            return
        atexit.unregister(self.stop)
        try:
            # A line, not only the end of file: a forked child may still hold a copy of the pipe.
            self._guard.communicate(b"stop\n", timeout=STOP_S)
        except subprocess.TimeoutExpired:  # the guard hangs or was itself killed; the server shares its group
            with suppress(ProcessLookupError):
                os.killpg(self._guard.pid, signal.SIGKILL)
            self._guard.communicate(timeout=STOP_S)
        # What the guard may not remove: the folder itself, where an unprivileged user cannot write its parent.
        shutil.rmtree(self.folder, ignore_errors=True)

    def _await_ready(self) -> None:
        assert self._guard.stdout is not None
        ended = select.poll()
        ended.register(self._guard.stdout)
        for _ in range(POLLS_MAX):
            status = _read(self.folder / "data" / "postmaster.pid").splitlines()
            if len(status) >= 8 and status[7].strip() == "ready":  # the line that pg_ctl waits for
                self.process_id = int(status[0])
                return
            if ended.poll(POLL_S * 1000):
                raise PostgresUnavailable(f"the private PostgreSQL did not start. {self._log_tail()}")
        raise PostgresUnavailable(
            f"the private PostgreSQL was not ready after {POLLS_MAX * POLL_S:.0f} s. {self._log_tail()}"
        )

    def _log_tail(self) -> str:
        lines = _read(self.folder / "log").splitlines()[-15:]
        return "\n".join(["Its log ends:", *lines]) if lines else "Its log is empty."


def _unprivileged_user() -> tuple[int, int] | None:
    """User and group to run the server as; None unless we are root, whom PostgreSQL refuses."""
    if os.geteuid() != 0:
        return None
    import pwd  # there is none on Windows

    for name in ("postgres", "nobody"):  # by name: initdb insists on a user that the machine knows
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
    raise PostgresUnavailable(
        f"PostgreSQL refuses to run as root, and there is no user postgres or nobody to run it as: {HOW_TO_GET_ONE}"
    )


def _room(*, in_memory: bool) -> str:
    """A place for the folder: memory-backed where there is room, else the first temporary one that all can enter."""
    memory = "/dev/shm"  # noqa: S108 - mkdtemp makes a private folder in it
    if (
        in_memory
        and os.access(memory, os.W_OK | os.X_OK)
        and shutil.disk_usage(memory).free >= ROOM_BYTES_MIN
    ):
        return memory
    usual = tempfile.gettempdir()
    return usual if os.geteuid() != 0 or traversable(Path(usual)) else "/tmp"  # noqa: S108 - as above


def _address(folder: Path) -> tuple[dict[str, str], str]:
    """Settings and URL: a socket in the private folder, which needs no port; else the loopback interface."""
    fits = len(os.fsencode(folder / ".s.PGSQL.5432")) <= SOCKET_PATH_BYTES_MAX
    if fits and "," not in str(folder):  # a comma separates hosts, for the server and for libpq
        settings = {"listen_addresses": "", "unix_socket_directories": str(folder), "port": "5432"}
        # The port names the socket's file; left out of the URL, libpq would take it from PGPORT.
        return settings, f"postgresql://turnstile@/postgres?host={quote(str(folder))}&port=5432"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "port": str(port)}
    return settings, f"postgresql://turnstile@127.0.0.1:{port}/postgres"


def _start_guard(
    programs: Path, folder: Path, settings: list[str], user: tuple[int, int] | None
) -> subprocess.Popen[bytes]:
    # PostgreSQL reads PGPORT, PGDATA and their kin; a set TZ spares initdb the search for the machine's zone.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    environment |= {"LC_ALL": "C", "TZ": "UTC"}
    arguments = [str(programs / "initdb"), str(programs / "postgres"), str(folder), *settings]
    try:
        return subprocess.Popen(  # noqa: S603 - our own script, our own words
            ["/bin/sh", "-c", GUARD, "turnstile", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,  # initdb asks for its working folder, and ours may be one that only root can read
            env=environment,
            start_new_session=True,  # Ctrl-C in the terminal is for us; we tell the server
            user=user[0] if user else None,
            group=user[1] if user else None,
            extra_groups=[] if user else None,  # none of root's
        )
    except OSError as error:
        raise PostgresUnavailable(f"cannot start a private PostgreSQL ({error}): {HOW_TO_GET_ONE}") from None


def _read(path: Path) -> str:
    with suppress(FileNotFoundError):  # asked for while the server comes and goes
        return path.read_text(encoding="utf-8", errors="replace")
    return ""


# Keyed by process: after a fork the child has the parent's objects, but not the parent's right to end its server.
_private: dict[int, PrivateServer] = {}


def server_url(explicit: str | None = None) -> str:
    """The server to use: the named one, else TURNSTILE_POSTGRESQL_URL, else a private one for this process.

    Args:
        explicit: What --database-url says.

    Raises:
        DatabaseUrlError: A URL was given and does not lead to a PostgreSQL that we can use.
        PostgresUnavailable: None was given and none can be started.
    """
    if url := explicit or os.environ.get("TURNSTILE_POSTGRESQL_URL"):
        with _connect(url) as connection:
            major = connection.info.server_version // 10_000
        if major < MAJOR_MIN:
            raise DatabaseUrlError(f"{_shown(url)} runs PostgreSQL {major}; {MAJOR_MIN} or newer is needed")
        return url
    if os.getpid() not in _private:
        _private[os.getpid()] = PrivateServer()
    return _private[os.getpid()].url


def create_database(url: str, name: str) -> str:
    """Make an empty database on the server at `url`, the same on every server, and return its own URL."""
    with _connect(url) as connection:
        from psycopg.sql import SQL, Identifier  # once _connect has made sure of psycopg

        # Copying files beats writing 7 MB through the log where the checkpoint it needs costs nothing (fsync=off).
        strategy = "STRATEGY file_copy" if connection.info.server_version >= 150_000 else ""
        statement = (
            "CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' " + strategy
        )
        connection.execute(SQL(statement).format(Identifier(name)))
    return urlunsplit(urlsplit(url)._replace(path="/" + quote(name, safe="")))


def drop_database(url: str, name: str) -> None:
    """Remove a database, whoever is connected to it; `url` must lead to another database of the same server."""
    with _connect(url) as connection:
        from psycopg.sql import SQL, Identifier

        connection.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name)))


def _connect(url: str) -> psycopg.Connection[tuple[Any, ...]]:
    """Connect outside any world, or say in one line why not."""
    try:
        import psycopg
    except ImportError:
        raise PostgresUnavailable(f"psycopg is not installed: {HOW_TO_GET_ONE}") from None
    if not url.startswith(("postgresql://", "postgres://")):
        raise DatabaseUrlError(f"{_shown(url)} should begin with postgresql:// and does not")
    try:
        return psycopg.connect(url, autocommit=True, connect_timeout=5)
    except psycopg.OperationalError as error:
        raise DatabaseUrlError(f"cannot connect to {_shown(url)}: {' '.join(str(error).split())}") from None
    except psycopg.ProgrammingError:  # its text may quote a piece of a password with unescaped characters
        raise DatabaseUrlError(
            f"{_shown(url)} cannot be read; characters such as @ / : in a password must be percent-encoded"
        ) from None


def _shown(url: str) -> str:
    """The URL without its password, also where the URL is wrong: up to the *last* @, whatever stands before it."""
    url = re.sub(r"(://[^:@/]*):.*@", r"\1:***@", url)
    return re.sub(r"(?i)(password=)[^&\s]*", r"\1***", url)
