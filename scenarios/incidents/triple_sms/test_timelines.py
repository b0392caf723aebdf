"""The triple SMS: the analysis's own clock, replayed, and its check that cannot fail."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from pathlib import Path

from scenarios.incidents.triple_sms.backends import DeployedBackend
from scenarios.incidents.triple_sms.scenario import (
    PHONE,
    SECONDS,
    STARTED,
    a_lead,
    by_the_clock_of_the_analysis,
    cron,
    one_sms_per_lead,
)
from scenarios.incidents.triple_sms.versions import AS_DEPLOYED, CHECKED
from scenarios.incidents.verdict_tests import replayed
from simulator import Exploration, World, simulate, specification_of

TIMELINES = Path(__file__).parent / "timelines"


def timeline(name: str, backend: DeployedBackend) -> Exploration:
    """Replays 10:00:00 to 10:11:03; SMS are counted when it is over."""
    as_told = simulate(schema=backend.schema, eventually=[one_sms_per_lead], early_timers_max=len(SECONDS))(
        partial(by_the_clock_of_the_analysis, backend=backend)
    )
    return replayed(specification_of(as_told), TIMELINES / f"{name}.schedule")


def clock_of(result: Exploration) -> dict[str, str]:
    """Lane and step, and when it first was, for what the analysis gives a time."""
    assert result.outcome is not None
    moments: dict[str, str] = {}
    for lane, point, at_s in result.outcome.trace.steps:
        what = f"{lane}: {point.partition(' /')[0]}"
        moments.setdefault(what, f"{STARTED + timedelta(seconds=at_s):%H:%M:%S}")
    return moments


def test_as_deployed_the_timeline_sends_three_sms_at_the_times_of_the_analysis() -> None:
    """10:10:01, 10:10:05 and 10:11:03: no more, no less, and not at other times."""
    result = timeline("as_deployed", AS_DEPLOYED)

    assert result.failure is not None
    assert result.failure.reason == "3 SMS were accepted: 10:10:01, 10:10:05, 10:11:03"


def test_the_timeline_is_the_one_of_the_analysis() -> None:
    """Second by second; ten minutes after a timer was set at 10:00:02 it would be 10:10:02, so it is set at 10:00:00."""
    clock = clock_of(timeline("as_deployed", AS_DEPLOYED))

    assert {
        "form: INSERT scheduled_notifications": "10:00:00",
        "timer: goes on": "10:10:00",
        "timer: POST mobizon": "10:10:01",
        "timer: UPDATE landing_leads": "10:10:02",
        "cron: SELECT scheduled_notifications": "10:10:04",
        "cron: POST mobizon": "10:10:05",
        "timer: COMMIT landing_leads": "10:10:06",
        "fault: SIGKILL backend before cron~2: starts": "10:11:00",
        "recovery~2: starts": "10:11:01",
        "recovery~2: SELECT scheduled_notifications": "10:11:02",
        "recovery~2: POST mobizon": "10:11:03",
    }.items() <= clock.items()


def test_with_the_checks_the_same_timeline_still_sends_two() -> None:
    """The flag is read at 10:10:04 and written at 10:10:06; only recovery finds it."""
    result = timeline("with_checks", CHECKED)

    assert result.failure is not None
    assert result.failure.reason == "2 SMS were accepted: 10:10:01, 10:10:05"
    assert clock_of(result)["cron: SELECT landing_leads"] == "10:10:04"
    assert clock_of(result)["timer: COMMIT landing_leads"] == "10:10:06"


def two_sms_and_the_proposed_check_passes(world: World) -> str | None:
    """The analysis's third test: the lead's newest row says that an SMS was sent, "only once"."""
    rows = world.database.rows(
        f"SELECT sms_sent FROM landing_leads WHERE phone = '{PHONE}' ORDER BY created_at DESC LIMIT 1"
    )
    passes = [row["sms_sent"] for row in rows] == [1]
    return "two SMS, and it passes" if passes and one_sms_per_lead(world) else None


@simulate(schema=CHECKED.schema, sometimes=[two_sms_and_the_proposed_check_passes])
async def test_a_flag_cannot_show_that_there_were_two(world: World) -> None:
    """`sms_sent` is true after one SMS and after two, so a test of it cannot fail; Mobizon's list can."""
    await a_lead(world, CHECKED, ticks=cron())
