"""The command: exit codes, what it says when something is missing, and that it stops when told, as a process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest
import trio
from sqlalchemy import text

from reference import open_engine
from reference.command import main
from reference.command.arguments import environment
from reference.configuration import VARIABLES
from reference.storage.migrations import HEAD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAIT_S = 60  # for a process to start; a bound, not a measure


@pytest.fixture
def told(tmp_path: Path) -> dict[str, str]:
    """An environment with a database that is not there yet."""
    return {"REFERENCE_DATABASE_URL": f"sqlite:///{tmp_path / 'shop.db'}"}


def write(told: dict[str, str], *statements: str) -> None:
    async def do() -> None:
        async with open_engine(told["REFERENCE_DATABASE_URL"]).begin() as connection:
            for statement in statements:
                await connection.execute(text(statement))

    trio.run(do)


def test_init_db_makes_the_database_and_says_where_it_was(
    told: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Twice is as good as once."""
    assert main(["init-db"], environment=told) == 0
    assert main(["init-db"], environment=told) == 0

    assert capsys.readouterr().out.splitlines() == [
        f"the database is at {HEAD}; it was empty",
        f"the database is at {HEAD}, as before",
    ]


@pytest.mark.parametrize("command", ["audit", "serve", "worker"])
def test_without_a_database_nothing_starts_and_nothing_is_made(
    told: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    """The sentence says what to do, and no empty file is left for the next one to wonder about."""
    assert main([command], environment=told) == 2

    assert "shop.db; run: reference init-db" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_down_is_one_sentence_without_the_password(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """No traceback: it is nobody's mistake here."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    told = {"REFERENCE_DATABASE_URL": f"postgresql://shop:hunter2hunter2@127.0.0.1:{port}/shop"}

    assert main(["audit"], environment=told) == 2
    error = capsys.readouterr().err
    assert error.startswith("reference: the database cannot be used: ")
    assert "hunter2" not in error


def test_audit_says_that_all_claims_hold(told: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """An empty shop breaks nothing."""
    main(["init-db"], environment=told)
    capsys.readouterr()

    assert main(["audit"], environment=told) == 0
    assert capsys.readouterr().out.strip().endswith("claims hold")


BROKEN = (
    "INSERT INTO users(id) VALUES (7)",
    "INSERT INTO tariffs(id, price_minor, duration_sec) VALUES (1, 100, 3600)",
    "INSERT INTO subscriptions(id, user_id, token, expires_at, created_at, updated_at) VALUES ('sub:x', 7, 't', 999, 1, 1)",
    "INSERT INTO payments(id, create_key, provider, user_id, tariff_id, amount_minor, duration_sec, status, created_at, paid_at) VALUES ('p-1', 'tap', 'yookassa', 7, 1, 100, 3600, 'paid', 1, 1)",
)


def test_audit_prints_every_violation_with_its_rows(
    told: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """An end that no ledger gives, and a paid payment without a job: by name, with the rows, and exit code 1."""
    main(["init-db"], environment=told)
    write(told, *BROKEN)
    capsys.readouterr()

    assert main(["audit"], environment=told) == 1
    said = capsys.readouterr().out
    assert "expiry_is_fold_of_ledger: the expiry that a subscription carries" in said
    assert "  sub:x         0                  999" in said
    assert "no_paid_payment_without_due_job" in said
    assert said.strip().endswith("claims broken")

    assert main(["audit", "--json"], environment=told) == 1
    found = json.loads(capsys.readouterr().out)
    assert not found["holds"]
    rows = {each["name"]: each["rows"] for each in found["violations"]}
    assert rows["expiry_is_fold_of_ledger"] == [
        {"subscription": "sub:x", "ledger_expires_at": 0, "expires_at": 999}
    ]


def test_audit_on_a_busy_service_can_leave_out_what_holds_later(
    told: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """What is under way is no violation of what holds after every commit."""
    main(["init-db"], environment=told)
    write(told, *BROKEN)
    capsys.readouterr()

    main(["audit", "--json"], environment=told)
    everything = {each["name"] for each in json.loads(capsys.readouterr().out)["violations"]}
    main(["audit", "--json", "--when", "always"], environment=told)
    always = {each["name"] for each in json.loads(capsys.readouterr().out)["violations"]}

    assert "every_paid_payment_is_delivered" in everything - always
    assert "expiry_is_fold_of_ledger" in always < everything


def test_audit_cannot_write(told: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even by a claim that tries to."""
    from reference import audit, invariants

    main(["init-db"], environment=told)
    evil = invariants.Invariant(
        name="evil", claim="", sql="INSERT INTO users(id) VALUES (1) RETURNING id", when="always"
    )

    async def ask() -> None:
        await audit.audit(open_engine(told["REFERENCE_DATABASE_URL"]), invariants=[evil])

    with pytest.raises(Exception, match="readonly database"):
        trio.run(ask)


def test_everything_that_is_wrong_is_said_at_once_and_no_value_with_it(
    told: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """One start, one list: by name, with what was expected; a value might be a secret in the wrong variable."""
    told |= {
        "REFERENCE_POOL_SIZE": "sk_test_in_the_wrong_place",
        "REFERENCE_STRIPE_URL": "ftp://geheim",
        "REFERENCE_ADMIN_TOKEN": "short",
        "REFERENCE_STRIPE_APIKEY": "misspelt",
    }

    assert main(["serve"], environment=told) == 2
    error = capsys.readouterr().err
    assert "REFERENCE_POOL_SIZE: expected a number from 1 to 100" in error
    assert "REFERENCE_STRIPE_URL: expected a URL" in error
    assert "REFERENCE_STRIPE_API_KEY is missing" in error
    assert "REFERENCE_ADMIN_TOKEN: expected at least 16 characters" in error
    assert "REFERENCE_STRIPE_APIKEY is not known" in error
    assert not any(value in error for value in ("sk_live", "geheim", "short ", "misspelt"))


def test_without_a_command_it_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    """And counts as wrongly used."""
    assert main([], environment={}) == 2
    said = capsys.readouterr().out
    assert "examples:" in said
    assert "exit codes:" in said


def test_help_names_every_variable() -> None:
    """The table is the one that is read."""
    shown = environment()

    assert [variable.full_name for variable in VARIABLES if variable.full_name not in shown] == []


def test_without_the_extra_it_says_what_to_install() -> None:
    """The script comes with every installation; what it needs does not."""
    program = "import sys; sys.modules['starlette'] = None; from reference.command import main; sys.exit(main(['--help']))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert done.stderr == "reference: it needs starlette: pip install 'turnstile[reference]'\n"


def test_a_demo_that_is_not_installed_is_said_clearly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The reference knows no scenarios; it asks who offers one."""
    monkeypatch.setattr("reference.command.running.entry_points", lambda **_group: ())

    assert main(["demo"], environment={}) == 2
    assert "the demo is not installed" in capsys.readouterr().err


# As processes ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def started(told: dict[str, str], tmp_path: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that a test starts; none is left behind."""
    main(["init-db"], environment=told)
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def start(
    told: dict[str, str], log: Path, *arguments: str, pass_fds: tuple[int, ...] = ()
) -> subprocess.Popen[bytes]:
    with log.open("wb") as stderr:
        return subprocess.Popen(
            [sys.executable, "-m", "reference", *arguments],
            env={**os.environ, **told},
            stderr=stderr,
            pass_fds=pass_fds,
        )


def wait_for_line(log: Path, words: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(WAIT_S * 20):
        if words in log.read_text(encoding="utf-8"):
            return
        try:
            process.wait(timeout=0.05)
        except subprocess.TimeoutExpired:
            continue
        pytest.fail(f"it left with {process.returncode}: {log.read_text(encoding='utf-8')}")
    pytest.fail(f"never said {words!r}: {log.read_text(encoding='utf-8')}")


def test_serve_answers_and_leaves_on_sigterm(
    told: dict[str, str], tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    """Two processes on one socket that was handed to them; logs are lines of JSON; the exit code is 0."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port, fd = listening.getsockname()[1], listening.fileno()
        logs = [tmp_path / "one.log", tmp_path / "two.log"]
        for log in logs:
            bind = {"REFERENCE_BIND": f"fd://{fd}", "REFERENCE_ADMIN_TOKEN": "a-token-of-the-staff"}
            started.append(start(told | bind, log, "serve", pass_fds=(fd,)))
        for log, process in zip(logs, started, strict=True):
            wait_for_line(log, "listening on", process)
            assert httpx.get(f"http://127.0.0.1:{port}/ready", trust_env=False).status_code == 200
    for log, process in zip(logs, started, strict=True):
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=WAIT_S) == 0
        lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        assert {"at", "level", "logger", "message"} <= set(lines[0])
        assert "a-token-of-the-staff" not in log.read_text(encoding="utf-8")


def test_a_worker_leaves_on_sigterm_with_nothing_in_hand(
    told: dict[str, str], tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    """Code 0, and the last line says so."""
    started.append(start(told, tmp_path / "worker.log", "worker"))
    wait_for_line(tmp_path / "worker.log", "worker starts", started[0])
    started[0].send_signal(signal.SIGTERM)

    assert started[0].wait(timeout=WAIT_S) == 0
    assert "worker ends, nothing in hand" in (tmp_path / "worker.log").read_text(encoding="utf-8")


def test_the_second_signal_ends_it_at_once(
    told: dict[str, str], tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    """A key server that never answers holds the worker in its grace; the second signal does not wait for that, and exit code 1 says it."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        write(
            told,
            "INSERT INTO users(id) VALUES (7)",
            "INSERT INTO servers(id) VALUES ('nl-1')",
            "INSERT INTO subscriptions(id, user_id, token, expires_at, created_at, updated_at) VALUES ('s', 7, 't', 9999999999, 1, 1)",
            "INSERT INTO outbox(dedupe_key, topic, subscription_id, created_at, next_at) VALUES ('provision:s', 'provision', 's', 1, 1)",
        )
        servers = {
            "REFERENCE_KEY_SERVERS": f"nl-1=http://127.0.0.1:{silent.getsockname()[1]}",
            "REFERENCE_KEY_SERVERS_TOKEN": "x",
            "REFERENCE_GRACE_S": "600",
        }
        started.append(start(told | servers, tmp_path / "worker.log", "worker"))
        silent.settimeout(WAIT_S)
        held, _ = silent.accept()  # it is calling now
        with held:
            started[0].send_signal(signal.SIGINT)
            wait_for_line(tmp_path / "worker.log", "no new work", started[0])
            started[0].send_signal(signal.SIGINT)

            assert started[0].wait(timeout=WAIT_S) == 1
    assert "ending at once" in (tmp_path / "worker.log").read_text(encoding="utf-8")


def test_an_address_that_is_taken_is_said_clearly(
    told: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, one sentence."""
    main(["init-db"], environment=told)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        bind = f"127.0.0.1:{taken.getsockname()[1]}"

        assert main(["serve", "--bind", bind], environment=told) == 2
    assert f"cannot listen on {bind}" in capsys.readouterr().err
