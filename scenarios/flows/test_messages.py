"""The scenarios of leads and their messages hold; `scenarios.ablations.messages` shows what each of them would notice."""

from __future__ import annotations

from scenarios.flows import messages

test_timer_sweep_and_recovery = messages.timer_sweep_and_recovery
test_a_double_click = messages.a_double_click
test_the_page_dies = messages.the_page_dies
test_a_sender_dies = messages.a_sender_dies
test_a_sender_sleeps = messages.a_sender_sleeps
test_found_in_the_list = messages.found_in_the_list
test_mobizon_is_busy = messages.mobizon_is_busy
test_one_number_two_forms = messages.one_number_two_forms
test_refused_then_another = messages.refused_then_another
test_just_an_hour_later = messages.just_an_hour_later
test_overtaken_before_the_call = messages.overtaken_before_the_call
test_two_sweeps = messages.two_sweeps
test_reported_twice = messages.reported_twice
test_several_leads = messages.several_leads
test_reported_by_a_sleeper = messages.reported_by_a_sleeper
test_a_sleeper_hears_later = messages.a_sleeper_hears_later
test_a_lost_mail = messages.a_lost_mail
test_a_call_when_the_lease_ends = messages.a_call_when_the_lease_ends
test_two_who_look = messages.two_who_look
