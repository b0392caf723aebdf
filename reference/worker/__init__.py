"""The worker: everything that the service does without being asked, by the clock and from its queues."""

from reference.worker.loops import Finished, run
from reference.worker.schedule import SCHEDULE, Entry, Queue, Sweep

__all__ = ["SCHEDULE", "Entry", "Finished", "Queue", "Sweep", "run"]
