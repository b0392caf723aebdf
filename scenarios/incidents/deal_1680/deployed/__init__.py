"""Deal 1680: the code that was deployed, and that made two sessions for one payment.

Rebuilt from the team's own analysis, seed 000. It is material to find races in, never to copy: every path
looks first and creates afterwards, and no two of them look at the same thing. The seed describes a Node
application; here it is Python, with the names spelt as Python spells them. "[i]" marks what the seed does not
say.

Modules
    deployment                  what it stands on, handed in: connection, Stripe, notifier
    stripe_api                  the little of stripe-node that it used
    database                    tables and repositories
    session_creation            create, save, tell: the steps that both paths have in common
    second_payment_scheduler    secondPaymentSchedulerService.js
    processor                   processor.js
    entry_points                who calls what

The seed                                                         where
    hasSecondPaymentSession, lines 105-180                       SecondPaymentScheduler.has_second_payment_session
      sessions created in the last 7 days, line 130              SecondPaymentScheduler.window_s
      status 'open' or payment_status 'paid', line 146           SecondPaymentScheduler.counts_as_existing
    createSecondPaymentSession                                   SessionCreation.create
    processExpiredSessions, findExpiredSessionTasks              SecondPaymentScheduler, same names
    createCheckoutSessionForDeal, processor.js 2506-2636         Processor.create_checkout_session_for_deal
      hasRest from existingPayments, line 2518                   the same
    "the cron ran twice, or two processes did"                   EntryPoints.hourly, called twice
    the first session "is created and not yet saved"             the gap in SessionCreation.create

Inferred [i]: that the cron first makes the list of eligible deals and then creates, deal by deal, and which
deals it lists; that a failed look is read as "no session" (a caught error of Stripe's; supabase-js, which
returns an error instead of raising it); that a person made links by hand when the notice had failed, with a
function that asks nobody; what an expired task is, and that it makes a reminder and no session; that sessions
were made without `expires_at`, so lived for 24 hours; tables, columns and texts.
"""
