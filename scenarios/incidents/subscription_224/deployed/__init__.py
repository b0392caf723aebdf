"""Subscription #224: the code as it was deployed, before v2.4.10 and in v2.4.10 with its 28 checks.

Rebuilt from two analyses by the team that ran it: seed 002 (the flow before, its bottlenecks) and seed 004 (v2.4.10 check
by check). It is material to find races in, never to copy: it extends one payment twice, loses one of two extensions,
and sells one subscription for two payments. Where a seed gives code, the statements, their order, the constants and the
commits are the seed's. "[i]" below marks what no seed says.

Modules
    deployment                        what it stands on, handed in: connection, notifier, provider, servers
    values, database                  constants and rows; the schema and the repositories
    purchase_steps                    the steps that both versions have in common
    process_purchase_v2_4_10          SubscriptionPurchaseService: checks 1 to 28
    process_purchase_before_v2_4_10   SubscriptionPurchaseService: read, add, write
    entry_points                      the five paths in, as far as they are the same
    entry_points_v2_4_10              EntryPoints
    entry_points_before_v2_4_10       EntryPoints: Platega without a COMPLETED check

Checks of seed 004, each a `# Check N` comment in process_purchase_v2_4_10
     1 payment exists                    process_subscription_purchase
     2 key_type is subscription          process_subscription_purchase
     3 protocol is v2ray                 process_subscription_purchase
     4 COMPLETED: nothing to do          process_subscription_purchase
     5 must be PAID                      process_subscription_purchase
     6 status again (v2.4.10)            process_subscription_purchase
     7 tariff exists                     process_subscription_purchase; get_tariff awaits, it was synchronous
     8 status again after the tariff     process_subscription_purchase
     9 active subscription, 24 h grace   _decide; PurchaseSteps._find_active_subscription
    10 free subscription: extend         _decide
    11 under an hour old: notice only    _decide, _is_its_own_purchase; values.looks_like_its_own_purchase
    12 extend or create                  _decide
    13 expiry set by hand: left alone    _extend_subscription; values.is_manually_set
    14 expires_at = expires_at + ?       _extend_subscription; extend_subscription_by_duration_async
    15 traffic limit from the tariff     _extend_subscription
    16 traffic reset                     _extend_subscription; PurchaseSteps.reset_subscription_traffic, body [i]
    17 purchase notice already sent      _extend_subscription; in the code, but no caller passes is_purchase=True
    18 notice, or stay PAID              _extend_subscription
    19 subscription_id, three attempts   _update_subscription_id; PaymentRepository.update_subscription_id
    20 PAID to COMPLETED                 _extend_subscription
    21 look again before creating        _create_subscription
    22 under five minutes old: notice    _create_subscription; when it does not apply, on to 23 [i]
    23 duration is positive              _create_subscription
    24 VIP                               _create_subscription; PurchaseSteps._terms_of_new_subscription
    25 token, ten tries                  _create_subscription; PurchaseSteps._unique_subscription_token
    26 BEGIN IMMEDIATE, find or insert   _create_subscription
    27 keys on all active servers        _create_subscription; PurchaseSteps._create_keys_on_servers, body [i]
    28 notice, PAID to COMPLETED         _create_subscription
       helper 29                         _send_purchase_notification_for_existing_subscription, body [i]
       helper 30                         PurchaseSteps._send_notification_simple
       retry (31)                        database.retry_async_db_operation; doubling delay [i]

Bottlenecks of seed 002                  where
    1 YooKassa: COMPLETED check          EntryPointsOfAProcess._handle_webhook
    2 Platega: no such check             entry_points_before_v2_4_10 only; v2.4.10 has the check of bottleneck 1
    3 poller, key_creation.py:1488       EntryPointsOfAProcess.poll_payment
    4 background_tasks.py:345            EntryPointsOfAProcess.process_pending_paid_payments
    5 background_tasks.py:1334           EntryPointsOfAProcess.retry_failed_subscription_notifications
    6 extend or create, lines 181-309    before: process_subscription_purchase; v2.4.10: _decide
    7 expires_at, lines 647-687          before: _extend_subscription; v2.4.10: gone (check 14), which makes both stick

Problem classes of seed 002              where
    1 status checks are not atomic       bottlenecks 1 to 5; checks 4, 6, 8
    2 purchase or extension              bottleneck 6; checks 9 to 12; before: also _create_subscription's insert
    3 read, add, write of expires_at     bottleneck 7, before v2.4.10
    4 duplicate webhooks                 EntryPoints.yookassa_webhook, platega_webhook: call twice
    5 five entry points at once          the five methods of EntryPoints

Inferred [i], besides the above and the notes beside the code: all texts; FREE_V2RAY_TARIFF_ID, ONE_YEAR_IN_SECONDS,
MAX_REASONABLE_EXPIRY; the v2ray tables; helper 29 is the only writer of purchase_notification_sent (check 28's code has
no such write); v2.4.10 takes the expiry for check 13 from check 9's row; what the two background tasks select; that no
entry point catches an error of the database; before v2.4.10, all that follows the write of the new expiry.
`fix_payments_without_subscription_id` (004-32) is not here: the seed only names it, and it never touches an expiry.
"""
