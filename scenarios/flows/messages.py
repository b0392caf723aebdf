"""Scenarios of leads and their messages: each holds, and each is what notices when one of the guards is taken away."""

from __future__ import annotations

from datetime import timedelta

from reference.storage.schema import metadata
from scenarios.flows.leads import (
    DUE,
    HOUR,
    MINUTE,
    Landing,
    form,
    form_and_timer,
    promise_at_least,
    relay,
    report,
    sleeper,
    sweep,
)
from scenarios.flows.leads_claims import (
    AT_REST,
    FORM,
    ONE_ROW_PER_REPORT,
    STRICT,
    nobody_is_called_about_a_mail,
    nobody_waits_in_vain,
    one_mail_per_form,
    one_sms_per_lead,
    somebody_of_two_is_told,
    what_went_out_is_called_sent,
)
from simulator import Crash, Pause, World, restarted, simulate

_SMS = ("", "lost request", "lost answer", "late", "busy")
_MAIL = ("", "lost request", "lost answer", "busy")
LATER = 20 * MINUTE


# Scenarios -----------------------------------------------------------------------------------------------------------


def _afterwards(landing: Landing) -> None:
    """Somebody who sweeps when everything else is over, or "eventually" would mean "at once"."""
    landing.runs("end", sweep(after=5 * HOUR, every=HOUR, ticks=3, name="at the end"))


@simulate(schema=metadata, executions=20, always=STRICT, eventually=FORM, sometimes=[restarted("page")])
async def timer_sweep_and_recovery(world: World) -> None:
    """A double click; timer, sweep and recovery meet; something happens to the first SMS and the first mail; the page's process dies."""
    landing = Landing(world)
    landing.mobizon.trouble[1] = world.choose("the first SMS", _SMS)
    landing.resend.trouble[1] = world.choose("the first mail", _MAIL)
    landing.runs("page", form_and_timer(), form(name="again"))
    landing.runs("worker", sweep(ticks=6))
    landing.runs("other worker", sweep(name="recovery"))
    world.inject(Crash("page"))
    _afterwards(landing)
    await world.quiesce()


@simulate(
    schema=metadata,
    early_timers_max=0,
    executions=20,
    always=STRICT,
    eventually=[*FORM, nobody_waits_in_vain],
    sometimes=[restarted("page")],
)
async def a_double_click(world: World) -> None:
    """Two clicks on one form, and the process that hears them dies; the browser asks again."""
    landing = Landing(world)
    landing.runs("page", form(clicks=2))
    landing.runs("worker", sweep(after=LATER, ticks=2))
    world.inject(Crash("page"))
    _afterwards(landing)
    await world.quiesce()


@simulate(schema=metadata, executions=10, always=STRICT, eventually=FORM)
async def the_page_dies(world: World) -> None:
    """The timer is lost with its process."""
    landing = Landing(world)
    landing.runs("page", form_and_timer())
    landing.runs("worker", sweep(after=LATER, ticks=2))
    world.inject(Crash("page", down_s=None))
    _afterwards(landing)
    await world.quiesce()


@simulate(schema=metadata, executions=50, always=STRICT, eventually=FORM, sometimes=[restarted("worker")])
async def a_sender_dies(world: World) -> None:
    """The one who sends is killed at any moment; the reconciler of another comes when the lease is over."""
    landing = Landing(world)
    landing.runs("page", form())
    landing.runs("worker", sweep(after=DUE))
    landing.runs("other worker", sweep(after=LATER, ticks=5))
    world.inject(Crash("worker", down_s=None))
    _afterwards(landing)
    await world.quiesce()


@simulate(schema=metadata, executions=10, always=STRICT, eventually=FORM)
async def a_sender_sleeps(world: World) -> None:
    """The one who sends stops at any moment for five minutes, and others go on; Mobizon may be busy at first."""
    landing = Landing(world)
    landing.mobizon.trouble[1] = world.choose("the first SMS", ("", "busy"))
    landing.runs("page", form())
    landing.runs("worker", sweep(after=DUE))
    landing.runs(
        "other worker",
        sweep(after=DUE + 2 * MINUTE, every=MINUTE, ticks=3),
        sweep(after=HOUR, ticks=3, name="later"),
    )
    world.inject(Pause("worker", seconds=300))
    _afterwards(landing)
    await world.quiesce()


@simulate(schema=metadata, executions=10, always=STRICT, eventually=[*FORM, what_went_out_is_called_sent])
async def found_in_the_list(world: World) -> None:
    """The answer to the SMS is lost; Mobizon's list lags behind; two workers look; the list may not answer at first."""
    landing = Landing(world)
    landing.mobizon.trouble[1] = world.choose("the first SMS", ("lost answer", "late", ""))
    landing.mobizon.lag_s = world.choose("lag, s", (290, 0))
    landing.mobizon.find_fails = world.choose("looks in vain", (1, 0))
    landing.runs("page", form())
    landing.runs(
        "worker", sweep(after=DUE, every=2 * MINUTE, ticks=5), sweep(after=HOUR, ticks=2, name="later")
    )
    landing.runs("other worker", sweep(after=DUE + 2 * MINUTE, every=6 * MINUTE, ticks=3, name="other"))
    _afterwards(landing)
    await world.quiesce()


@simulate(
    schema=metadata,
    early_timers_max=0,
    executions=20,
    always=STRICT,
    eventually=[*FORM, nobody_waits_in_vain],
)
async def mobizon_is_busy(world: World) -> None:
    """So many times it has taken nothing, and says so."""
    landing = Landing(world)
    landing.mobizon.trouble.update(dict.fromkeys(range(1, world.choose("times", [1, 2, 3]) + 1), "busy"))
    landing.runs("page", form())
    landing.runs("worker", sweep(after=DUE, ticks=5))
    landing.runs("other worker", sweep(after=DUE, ticks=2, name="other"))
    _afterwards(landing)
    await world.quiesce()


@simulate(schema=metadata, executions=20, always=STRICT, eventually=AT_REST)
async def one_number_two_forms(world: World) -> None:
    """Other answers, or another address, with the same number, at the same time or a little later; the staff hear of it."""
    landing = Landing(world)
    apart = world.choose("apart", [timedelta(0), 5 * MINUTE, 59 * MINUTE])
    landing.runs("page", form(), form("b", email="bob@example.com", after=apart, name="other visitor"))
    landing.runs(
        "worker",
        sweep(after=DUE, ticks=2),
        sweep(after=DUE + HOUR, ticks=2, name="later"),
        relay(after=3 * HOUR),
    )
    landing.runs("other worker", sweep(after=DUE, name="other"))
    _afterwards(landing)
    await world.quiesce()


@simulate(
    schema=metadata,
    early_timers_max=0,
    executions=10,
    always=STRICT,
    eventually=[*AT_REST, somebody_of_two_is_told],
)
async def refused_then_another(world: World) -> None:
    """The first SMS to a number is refused; a second form follows five minutes later."""
    landing = Landing(world)
    landing.mobizon.trouble[1] = "refused"
    landing.runs("page", form(), form("b", email="bob@example.com", after=5 * MINUTE, name="other visitor"))
    landing.runs("worker", sweep(after=DUE), sweep(after=DUE + 6 * MINUTE, ticks=2, name="later"))
    landing.runs("other worker", sweep(after=DUE, name="other"))
    _afterwards(landing)
    await world.quiesce()


@simulate(schema=metadata, executions=10, always=STRICT, eventually=AT_REST)
async def just_an_hour_later(world: World) -> None:
    """A sender stops for 25 seconds between claim and call; another form's SMS is due an hour and ten seconds after the claim."""
    landing = Landing(world)
    later = HOUR + timedelta(seconds=10)
    landing.runs(
        "page", form(), form("b", email="bob@example.com", after=later - MINUTE, name="other visitor")
    )
    landing.runs("worker", sleeper(stops_s=world.choose("it stops, s", [25, 0, 31])))
    landing.runs(
        "other worker", sweep(after=DUE + later, name="other"), sweep(after=3 * HOUR, ticks=3, name="later")
    )
    _afterwards(landing)
    await world.quiesce()


@simulate(schema=metadata, executions=10, always=STRICT, eventually=FORM)
async def overtaken_before_the_call(world: World) -> None:
    """A sender stops for minutes between claim and call, and others go on without it."""
    landing = Landing(world)
    landing.runs("page", form())
    landing.runs("worker", sleeper(stops_s=world.choose("it stops, s", [300, 125, 31])))
    landing.runs("other worker", sweep(after=DUE + 2 * MINUTE, every=MINUTE, ticks=2))
    _afterwards(landing)
    await world.quiesce()


@simulate(schema=metadata, executions=80, always=[one_sms_per_lead], eventually=[one_mail_per_form])
async def two_sweeps(world: World) -> None:
    """Two sweeps reach for the same messages; only what the providers see is asked."""
    landing = Landing(world)
    landing.runs("page", form())
    landing.runs("worker", sweep())
    landing.runs("other worker", sweep(name="other"))
    await world.quiesce()


@simulate(
    schema=metadata,
    early_timers_max=0,
    executions=10,
    always=[*STRICT, ONE_ROW_PER_REPORT],
    eventually=[*FORM, nobody_waits_in_vain],
)
async def reported_twice(world: World) -> None:
    """A delivery report and its copies, perhaps before the answer to the send has been written down."""
    landing = Landing(world)
    landing.runs("page", form(), report("e-1", message="sms-1", deliveries=2, after=DUE))
    landing.runs("worker", sweep(after=DUE, ticks=2))
    _afterwards(landing)
    await world.quiesce()


@simulate(schema=metadata, executions=15, always=STRICT, eventually=AT_REST)
async def several_leads(world: World) -> None:
    """Leads of two numbers at drawn times; one SMS and one mail meet trouble; a worker may die."""
    landing = Landing(world)
    number = world.choose("leads", [2, 3])
    forms = [
        form(
            str(one),
            phone=world.choose(f"number of {one}", ["+7 701 000 00 00", "+7 701 000 00 01"]),
            email=f"lead-{one}@example.com",
            clicks=world.choose(f"clicks of {one}", [1, 2]),
            after=world.choose(f"lead {one} comes", [timedelta(0), 30 * MINUTE]),
            name=f"visitor {one}",
        )
        for one in range(number)
    ]
    landing.mobizon.trouble[world.choose("which SMS", [1, 2])] = world.choose("its trouble", _SMS)
    landing.resend.trouble[world.choose("which mail", [1, 2])] = world.choose("the mail's trouble", _MAIL)
    landing.runs("page", *forms)
    landing.runs("worker", sweep(after=DUE, ticks=3))
    landing.runs("other worker", sweep(after=DUE, every=30 * MINUTE, ticks=5, name="other"))
    world.inject(Crash("worker", down_s=None))
    _afterwards(landing)
    await world.quiesce()


@simulate(
    schema=metadata,
    early_timers_max=0,
    executions=20,
    always=STRICT,
    eventually=[*FORM, what_went_out_is_called_sent],
)
async def reported_by_a_sleeper(world: World) -> None:
    """The one who sends stops, perhaps with the answer in its hands, for longer than anybody looks for the SMS in a list that lags."""
    landing = Landing(world)
    landing.mobizon.lag_s = 3 * 3600
    landing.mobizon.sleeps_s = world.choose("it stops, s", [HOUR.seconds, 0])
    landing.runs("page", form())
    landing.runs("worker", sweep(after=DUE))
    landing.runs("other worker", sweep(after=LATER, ticks=2))
    _afterwards(landing)
    await world.quiesce()


@simulate(schema=metadata, executions=20, always=STRICT, eventually=FORM)
async def a_sleeper_hears_later(world: World) -> None:
    """Mobizon is busy, and the one who is told so stops; when it wakes up, another one is sending the message again, and a third comes."""
    landing = Landing(world)
    landing.mobizon.trouble.update({1: "busy", 2: "told late"})
    landing.mobizon.sleeps_s = world.choose("it stops, s", [545, 0])
    landing.runs("page", form(), promise_at_least(after=MINUTE))
    landing.runs("worker", sweep(after=DUE))
    landing.runs(
        "other worker",
        sweep(after=DUE + 2 * MINUTE),
        sweep(after=DUE + 8 * MINUTE, every=MINUTE, ticks=2, name="again"),
    )
    landing.runs("third worker", sweep(after=DUE + timedelta(seconds=556), name="third"))
    _afterwards(landing)
    await world.quiesce()


@simulate(schema=metadata, executions=10, always=STRICT, eventually=[*FORM, nobody_is_called_about_a_mail])
async def a_lost_mail(world: World) -> None:
    """The answers to the first mails are lost, so many times."""
    landing = Landing(world)
    landing.resend.trouble.update(dict.fromkeys(range(1, world.choose("times", [1, 2]) + 1), "lost answer"))
    landing.runs("page", form())
    landing.runs("worker", sweep(after=DUE, every=2 * MINUTE, ticks=5))
    landing.runs("other worker", sweep(after=DUE, every=3 * MINUTE, ticks=3, name="other"))
    _afterwards(landing)
    await world.quiesce()


@simulate(schema=metadata, executions=10, early_timers_max=0, always=STRICT, eventually=FORM)
async def a_call_when_the_lease_ends(world: World) -> None:
    """A sender stops until its lease is nearly over; Mobizon takes the SMS 15 s after it is asked; it is rather to come twice than not."""
    landing = Landing(world)
    landing.mobizon.trouble[1] = "slow"
    landing.runs("page", form(), promise_at_least(after=MINUTE))
    landing.runs("worker", sleeper(stops_s=world.choose("it stops, s", [55, 29, 0])))
    again = timedelta(seconds=6)
    landing.runs("other worker", sweep(after=DUE + timedelta(seconds=61), every=again, ticks=2))
    _afterwards(landing)
    await world.quiesce()


@simulate(
    schema=metadata,
    executions=10,
    early_timers_max=0,
    always=STRICT,
    eventually=[*FORM, what_went_out_is_called_sent],
)
async def two_who_look(world: World) -> None:
    """The first who looks sees nothing yet, and stops; the second finds the SMS."""
    landing = Landing(world)
    landing.mobizon.trouble[1] = "lost answer"
    landing.mobizon.lag_s = 425
    landing.mobizon.find_sleeps_s = 90
    landing.runs("page", form())
    landing.runs("worker", sweep(after=DUE), sweep(after=DUE + 7 * MINUTE, name="first look"))
    landing.runs("other worker", sweep(after=DUE + timedelta(seconds=485), name="second look"))
    landing.runs("third worker", sweep(after=DUE + timedelta(seconds=485), name="third look"))
    _afterwards(landing)
    await world.quiesce()


ALL_OF_THEM = (
    timer_sweep_and_recovery,
    a_double_click,
    the_page_dies,
    a_sender_dies,
    a_sender_sleeps,
    found_in_the_list,
    mobizon_is_busy,
    one_number_two_forms,
    refused_then_another,
    just_an_hour_later,
    overtaken_before_the_call,
    two_sweeps,
    reported_twice,
    several_leads,
    a_call_when_the_lease_ends,
    two_who_look,
    reported_by_a_sleeper,
    a_sleeper_hears_later,
    a_lost_mail,
)
