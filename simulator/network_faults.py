"""What a network does to one call, on purpose. Which call it strikes is one choice, drawn up front; 0 means none.

The fault strikes the n-th call to a service, whoever makes it (`simulator.faults` says why the moment is drawn like this).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LostRequest:
    """The request never arrives and nothing is applied: the caller sees its connect timeout.

    Attributes:
        service: its name in `Network.serve`.
    """

    service: str

    @property
    def name(self) -> str:
        """How schedules call it."""
        return f"lost request to {self.service}"


@dataclass(frozen=True, slots=True)
class LateRequest:
    """The request arrives late, also when the caller has given up or died meanwhile.

    Attributes:
        service: its name in `Network.serve`.
        seconds: how late.
    """

    service: str
    seconds: float = 45.0

    @property
    def name(self) -> str:
        """How schedules call it."""
        return f"late request to {self.service}"


@dataclass(frozen=True, slots=True)
class LostReply:
    """The effect happens and the caller does not hear of it: its read timeout, or a connection that is reset.

    Attributes:
        service: its name in `Network.serve`.
        reset: the connection breaks at once; otherwise a caller without a read timeout waits for ever, as in life.
    """

    service: str
    reset: bool = False

    @property
    def name(self) -> str:
        """How schedules call it."""
        return f"lost reply of {self.service}"


@dataclass(frozen=True, slots=True)
class LateReply:
    """The effect happens at once and the answer comes late, or too late.

    Attributes:
        service: its name in `Network.serve`.
        seconds: how late.
    """

    service: str
    seconds: float = 45.0

    @property
    def name(self) -> str:
        """How schedules call it."""
        return f"late reply of {self.service}"


@dataclass(frozen=True, slots=True)
class ServerError:
    """Something in front of the service answers with an error, before or after the service did its work.

    Attributes:
        service: its name in `Network.serve`.
        status: 500 to 599.
        applied: whether the effect has happened nevertheless.
    """

    service: str
    status: int = 502
    applied: bool = False

    @property
    def name(self) -> str:
        """How schedules call it."""
        return f"{self.status} of {self.service} {'after' if self.applied else 'without'} its effect"


NetworkFault = LostRequest | LateRequest | LostReply | LateReply | ServerError
