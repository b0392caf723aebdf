"""Ticket awards: the code of the setup guide (Fastify, better-sqlite3, node-cron), statement by statement.

It is material to find races in, never to copy. "[i]" marks what the guide does not say.

Modules                                             where the guide has it
    bot_db                 the tables; ATTACH, DETACH and the synchronous driver    3.1
    contest_utils          src/storage/contestUtils.ts: awardTicketsForPayment      3.1
    award_retry_scheduler  src/services/awardRetryScheduler.ts                      4.2
    payments               src/routes/v1/payments.ts: POST /v1/payments/webhook     2.1, 4.3
    order_processing       OrderProcessingService: processPayment, activateOrder    1.1

Inferred [i]: the columns' types; `getTicketsFromPlanId`; that the "checks of the referrer's qualification", which the guide leaves out,
pass; that `activateOrder` awards before it activates, isolates the award's errors as the webhook does, and has no queue (the guide puts
the queue into the webhook only); that one request to a key server activates. Left out: the signature hook (YooKassa has no
signatures), logging, the admin's statistics.

As printed the scheduler's module does not load: node-cron has no `CronJob` (package `cron` has). What is meant is taken as written.
better-sqlite3 is synchronous: within a process nobody else moves while an award runs. That is kept (`BotDb.synchronous`), and where
a variant goes without, it says so.
"""
