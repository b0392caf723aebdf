"""The databases' room: real engines, one point per statement and commit, lock waits as events."""

from simulator.database.door import Database, NoDatabase

__all__ = ["Database", "NoDatabase"]
