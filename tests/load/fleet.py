"""The processes of a run: started, killed, stopped as an orchestrator would; each logs into a file of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import trio

STOP_MAX_S = 60.0


@dataclass(eq=False)
class Member:
    """One process."""

    name: str
    role: str
    popen: subprocess.Popen[bytes]


@dataclass
class Fleet:
    """All of them.

    Args:
        folder: for their logs.
        environment: their configuration.

    Attributes:
        url: where the service's processes listen, all on one socket that is opened here and handed to them.
        killed: how many were.
        codes: the exit codes of those that were asked to stop, by role.
    """

    folder: Path
    environment: Mapping[str, str]
    killed: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    members: list[Member] = field(default_factory=list)
    _started: int = 0

    def __post_init__(self) -> None:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen(512)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def start(self, role: str, *, ahead_s: float = 0.0) -> Member:
        """Start a ``serve`` or a ``worker``."""
        self._started += 1
        name = f"{self._started:03}-{role}"
        environment = {**os.environ, **self.environment, "REFERENCE_BIND": f"fd://{self._socket.fileno()}"}
        environment["REFERENCE_LOG_LEVEL"] = "INFO" if role == "worker" else "WARNING"  # see until_working
        with open(self.folder / f"{name}.log", "wb") as log:
            popen = subprocess.Popen(  # our own module, our own words
                [sys.executable, "-m", "tests.load.process", str(ahead_s), role],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                pass_fds=[self._socket.fileno()],
                start_new_session=True,  # Ctrl-C is for the run, which stops them
            )
        member = Member(name, role, popen)
        self.members.append(member)
        return member

    async def until_working(self) -> None:
        """Wait until every worker has begun, or has left: starting takes a while on a machine that is busy.

        Raises:
            trio.TooSlowError: after a minute.
        """
        with trio.fail_after(STOP_MAX_S):
            for member in self.of("worker"):
                log = self.folder / f"{member.name}.log"
                while member.popen.poll() is None and b"worker starts" not in log.read_bytes():
                    await trio.sleep(0.05)

    def start_probe(self) -> Path:
        """Start what measures answers; returns where it writes."""
        path = self.folder / "probe.txt"
        with path.open("wb") as measured:
            command = [sys.executable, "-m", "tests.load.probe", self.url]
            popen = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=measured, start_new_session=True
            )
        self.members.append(Member("probe", "probe", popen))
        return path

    def of(self, role: str) -> list[Member]:
        """Those of a role that are there."""
        return [member for member in self.members if member.role == role]

    def kill(self, member: Member) -> None:
        """SIGKILL to one of the service's."""
        self.end(member)
        self.killed += 1

    def end(self, member: Member) -> None:
        """SIGKILL."""
        member.popen.kill()
        member.popen.wait()
        self.members.remove(member)

    async def stop(self, role: str) -> None:
        """SIGTERM to all of a role, and wait; who does not leave within a minute is killed and counted as such."""
        leaving = self.of(role)
        for member in leaving:
            member.popen.send_signal(signal.SIGTERM)
        for member in leaving:
            with trio.move_on_after(STOP_MAX_S):
                while member.popen.poll() is None:
                    await trio.sleep(0.02)
            code = member.popen.poll()
            if code is None:
                member.popen.kill()
                member.popen.wait()
            self.members.remove(member)
            self.codes[f"{role} {'killed after a minute' if code is None else code}"] += 1

    def abandon(self) -> None:
        """Whatever happens, nobody is left behind."""
        for member in self.members:
            member.popen.kill()
            member.popen.wait()
        self.members.clear()
        self._socket.close()

    def died(self) -> list[str]:
        """Those that left unasked."""
        return [member.name for member in self.members if member.popen.poll() is not None]

    def lines(self) -> Iterator[dict[str, object]]:
        """Everything that was logged."""
        for path in sorted(self.folder.glob("*.log")):
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    found = json.loads(line)
                except ValueError:
                    found = {"level": "RAW", "logger": path.name, "message": line}
                yield found
