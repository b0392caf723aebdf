"""Triple SMS: the code as it was deployed until 2025-12-14.

Rebuilt from the analysis by the team that ran it (the seed), which shows the calls, the loops and the clock, and not the
files. It is material to find races in, never to copy. "[i]" marks what the analysis does not say.

Modules                                             where the analysis has it
    deployment       what the code stands on, handed in
    supabase         supabase-js: an error is returned, never thrown
    landing          POST /api/landing/proftest
    tracked_sends    sendProftestEmailWithTracking, sendProftestSMSWithTracking, sendProftestResultSMS
    scheduled_notifications    backend/src/services/scheduledNotifications.ts
        execute_notification            setTimeout, line 459                               system 1
        recover_pending_notifications   `if (delayMs <= 0)`, line 136                      source 2
    notification_scheduler     backend/src/services/notificationScheduler.ts
        check_and_send_overdue          cron.schedule('* * * * *'), line 264               system 2

Faults that the analysis names
    1 two systems send                              execute_notification, check_and_send_overdue
    2 recovery sends what is overdue                recover_pending_notifications
    3 no check before a send                        tracked_sends; the fix is fixes/sms_sent_checks

Inferred [i]: the columns beyond those that are named; all texts; that the SMS goes first, then the e-mail, then the status (a row that
is still `pending` 57 seconds after its SMS needs something slow in between); that recovery selects by status, as its name says, and
does not keep the process from starting; that `execute_notification` looks at the status first, which is the kinder reading; that a failed send is caught and counts as false; that no request has a timeout, as `fetch`
has none; the limit of 50 rows per tick. That the timer calls a notification sent when e-mail *and* SMS went well, and the
cron job when *either* did, is from a later reading of the code.
"""
