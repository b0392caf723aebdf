"""What can go wrong that is not a finding: each error names the thing, what was expected and what was there."""

from __future__ import annotations


class SimulatorError(Exception):
    """The base of every error that the simulator raises for a mistake of its user or of its surroundings."""


class UnsupportedTrio(SimulatorError):
    """The installed trio cannot be controlled one task step at a time."""


class EscapedSimulation(SimulatorError):
    """Code inside a world reached for something that the simulator does not control (a thread, a socket ...)."""


class ScheduleError(SimulatorError):
    """A schedule file cannot be used: not ours, another version, cut short, or for another test."""


class FrontierError(SimulatorError):
    """A saved frontier cannot be gone on from: not ours, another version, or cut short."""


class UnknownScheduler(SimulatorError):
    """No scheduler has that name."""


class DatabaseUnavailable(SimulatorError):
    """The database cannot be had: a path that is not writable, no server, a driver that is not installed."""


class InvariantRaised(SimulatorError):
    """An invariant failed to give an answer; that says nothing about the code under test."""


class Nondeterminism(SimulatorError):
    """The same choices led to two different executions."""


class ProcessKilled(BaseException):
    """Raised by every door once its process is dead, so that clean-up code changes nothing.

    It derives from BaseException because the code under test may catch Exception and go on; a killed process cannot.
    """
