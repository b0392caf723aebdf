"""Executions in which somebody moved within a critical section, as the events of one in which nobody did.

The search makes a critical section one step where that makes no difference (`simulator.runtime.sections`). Whoever counts
classes without it comes upon the same events here: from the record of any execution, whatever moved in between. What is said
of a section's effects is the search's own (`Context.complete`); that they are enough is shown by the states in which all
interleavings end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulator.effects import NOTHING, Effects

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simulator.reduction.context import Context
    from simulator.reduction.dependence import Dependence, Number
    from simulator.reduction.events import Event
    from simulator.trace import Trace


@dataclass(slots=True)
class Whole:
    """One event.

    Attributes:
        lane: who made it.
        steps: which steps it is; one, or those of a section.
    """

    lane: str
    steps: list[int]


def whole(trace: Trace, context: Context) -> list[Whole]:
    """The events, each where its last step was made.

    A section of a lane that shares its process is left as it is, and so is what comes of one after its lane waited. A lane
    is taken to be there from its first step to its last: so it is in worlds whose processes start their lanes in turn.
    """
    sections: dict[str, Whole] = {}
    events: list[Whole] = []
    there: dict[str, tuple[int, int]] = {}
    for step, (lane, _, _) in enumerate(trace.steps):
        there[lane] = there.get(lane, (step,))[0], step

    def is_alone(lane: str, step: int) -> bool:
        process = context.process_of(lane, trace)
        others = [each for each in there if each != lane and context.process_of(each, trace) == process]
        return not any(there[each][0] <= step <= there[each][1] for each in others)

    for step, (lane, _, now_s) in enumerate(trace.steps):
        effects = trace.effects_of(step)
        section = sections.get(lane)
        if section is not None and now_s > trace.steps[section.steps[0]][2]:
            del sections[lane]
            section = None
        if section is not None:
            section.steps.append(step)
            if effects.gave_back:
                del sections[lane]
            continue
        event = Whole(lane, [step])
        events.append(event)
        if effects.took and not effects.gave_back and is_alone(lane, step):
            sections[lane] = event
    return sorted(events, key=lambda event: event.steps[-1])


def effects_of(event: Whole, trace: Trace, context: Context) -> Effects:
    """What an event read and wrote."""
    effects = NOTHING
    for step in event.steps:
        effects = effects | trace.effects_of(step)
    return context.complete(effects, context.process_of(event.lane, trace))


def attempted(trace: Trace) -> bool:
    """Whether somebody met, or could have met, a section from outside."""
    return any(trace.effects_of(step).attempts for step in range(len(trace.steps)))


def whole_events(
    fine: Sequence[Event], trace: Trace, context: Context, dependence: Dependence
) -> list[Event]:
    """The same with their causes.

    Args:
        fine: an event for each step.
        trace: the record.
        context: completes effects.
        dependence: numbers them.
    """
    events = whole(trace, context)
    place = {step: index for index, event in enumerate(events) for step in event.steps}
    found = []
    for index, event in enumerate(events):
        first = fine[event.steps[0]]
        woken_by = place[first.woken_by] if first.woken_by >= 0 else -1
        number: Number = dependence.number(effects_of(event, trace, context))
        waited = max((place[step] + 1 for step in range(first.waited)), default=0)
        cause = woken_by if woken_by < index else -1
        found.append(type(first)(event.lane, number, cause, waited=min(waited, index)))
    return found
