"""Runs real asynchronous code under control: who moves next, what time it is, which process dies, which reply is lost.

Generic: it knows no payments. The public names are these; rooms beneath are for those who extend the simulator.
"""

from simulator.actors import Cron, Operator, Poller, Webhook
from simulator.errors import SimulatorError
from simulator.execution import Bounds, Claims
from simulator.exploration import Exploration, explore, replay
from simulator.faults import Crash, Pause, Restart
from simulator.oracles import restarted
from simulator.process import Process
from simulator.schedule import Schedule, load_schedule
from simulator.schedulers.base import Limits
from simulator.serial import serializable
from simulator.simulate import Specification, simulate, specification_of
from simulator.world import World

__all__ = [
    "Bounds",
    "Claims",
    "Crash",
    "Cron",
    "Exploration",
    "Limits",
    "Operator",
    "Pause",
    "Poller",
    "Process",
    "Restart",
    "Schedule",
    "SimulatorError",
    "Specification",
    "Webhook",
    "World",
    "explore",
    "load_schedule",
    "replay",
    "restarted",
    "serializable",
    "simulate",
    "specification_of",
]
