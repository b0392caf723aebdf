"""``reference demo``, as somebody runs it who has just installed this."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAIT_S = 120  # a bound for a machine that is busy, not a measure


@pytest.fixture
def port() -> int:
    """A free port whose neighbour is free too."""
    for _ in range(100):
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            number = int(one.getsockname()[1])
            try:
                other.bind(("127.0.0.1", number + 1))
            except (OSError, OverflowError):
                continue
            return number
    raise AssertionError("no two free ports side by side")


@pytest.fixture
def demo(port: int, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A demo that stays up, with a temporary folder of its own; it is ended whatever happens."""
    process = subprocess.Popen(
        [sys.executable, "-m", "reference", "demo", "--keep-running", "--port", str(port)],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    yield process
    process.kill()
    process.communicate()


def test_the_demo_walks_through_everything_stays_up_for_curl_and_leaves_nothing(
    demo: subprocess.Popen[str], port: int, tmp_path: Path
) -> None:
    """Each step says what a user sees; what it shows can be asked for afterwards; Ctrl-C ends it with nothing left."""
    assert demo.stdout is not None
    said = []
    for line in demo.stdout:
        said.append(line)
        if "It stays up" in line:
            break
    text = "".join(said)
    assert "It stays up" in text, text

    for seen in ("1. A purchase", "2. An extension", "3. A lead", "4. A deal", "5. What the staff see"):
        assert seen in text
    assert text.count("completed; the subscription runs until") == 3
    assert "SMS to 77000000001: Your test result is ready" in text
    assert "the rest is settled, once" in text
    assert "claims hold" in text

    control = f"http://127.0.0.1:{port + 1}"
    assert len(httpx.get(f"{control}/sms", trust_env=False).json()) == 1
    assert httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False).json() == {"status": "ok"}
    assert list(tmp_path.glob("reference-demo-*")) != []

    demo.send_signal(signal.SIGINT)
    assert demo.wait(timeout=WAIT_S) == 0
    assert list(tmp_path.glob("reference-demo-*")) == []
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False)


def test_a_port_that_is_taken_is_said_clearly(port: int) -> None:
    """One sentence and exit code 2."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        done = subprocess.run(
            [sys.executable, "-m", "reference", "demo", "--port", str(port)],
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=False,
        )

    assert done.returncode == 2, done.stderr
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr
