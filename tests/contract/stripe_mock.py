"""Where real stripe-mock and Stripe's OpenAPI description come from; both are in one Go module.

In this order: what TURNSTILE_STRIPE_MOCK names (a URL, as of compose.yaml, or a program), a program on the PATH, one that
was built before, and one that Go builds now (80 s, once) into the user's cache. The description is a file in the module.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MODULE = "github.com/stripe/stripe-mock"
VERSION = "v0.203.0"  # its description is 2026-08-26.dahlia; the stand-in says the same
GET_IT = (
    f"go install {MODULE}@{VERSION}, or docker compose up --wait and TURNSTILE_STRIPE_MOCK=http://localhost:12111, or put "
    "Go on the PATH and the tests build it themselves"
)
_BUILD_MAX_S, _START_MAX_S = 600, 30


class UnavailableError(Exception):
    """stripe-mock, or its description, is not to be had; the text says how to get it."""


def cache() -> Path:
    """Where what was built is kept."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "turnstile" / f"stripe-mock-{VERSION}"


def program() -> Path:
    """The program; built when there is none.

    Raises:
        UnavailableError: there is none and it cannot be built.
    """
    named = os.environ.get("TURNSTILE_STRIPE_MOCK", "")
    if named:
        if not Path(named).is_file():
            raise FileNotFoundError(f"TURNSTILE_STRIPE_MOCK={named} is neither a URL nor a program")
        return Path(named)
    found = shutil.which("stripe-mock")
    return Path(found) if found else _built()


def _built() -> Path:
    target = cache() / "stripe-mock"
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # pytest-xdist: one worker builds, the others wait
        if not target.exists():
            _go("install", f"{MODULE}@{VERSION}", GOBIN=str(cache()))
    return target


def description() -> Path:
    """The file with the OpenAPI description.

    Raises:
        UnavailableError: there is none and Go cannot fetch it.
    """
    named = os.environ.get("TURNSTILE_STRIPE_SPEC", "")
    if named:
        return Path(named)
    folder = json.loads(_go("mod", "download", "-json", f"{MODULE}@{VERSION}"))["Dir"]
    return Path(folder) / "embedded" / "openapi" / "spec3.json"


def _go(*arguments: str, **environment: str) -> str:
    go = shutil.which("go")
    if go is None:
        raise UnavailableError(
            f"stripe-mock is not here, and Go, which would fetch it, is not either: {GET_IT}"
        )
    try:
        done = subprocess.run(
            [go, *arguments],
            capture_output=True,
            text=True,
            timeout=_BUILD_MAX_S,
            env=os.environ | environment,
            cwd="/",
        )
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"go {arguments[0]} took more than {_BUILD_MAX_S} s: {GET_IT}") from None
    if done.returncode:
        raise UnavailableError(f"go {' '.join(arguments)} failed: {done.stderr.strip()[-300:]}; {GET_IT}")
    return done.stdout


@contextmanager
def running(folder: Path) -> Iterator[Path]:
    """stripe-mock behind a Unix socket: no port to fight for.

    Args:
        folder: for the socket; a short path, because a socket's name has about a hundred characters.
    """
    socket = folder / "s"
    with subprocess.Popen(
        [program(), "-http-unix", str(socket)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/"
    ) as process:
        try:
            _await(socket, process)
            yield socket
        finally:
            process.kill()


def _await(socket: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_MAX_S
    while not socket.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            said = process.stdout.read().decode(errors="replace") if process.stdout else ""
            raise RuntimeError(f"stripe-mock did not come up within {_START_MAX_S} s: {said[-500:]}")
        time.sleep(0.05)
