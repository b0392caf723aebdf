"""Deal 1680 as a value: what happened, why, and the verdict on each version."""

from __future__ import annotations

from scenarios.incidents.deal_1680.variants_deployed import DEPLOYED
from scenarios.incidents.deal_1680.variants_proposed import PROPOSED
from scenarios.incidents.deal_1680.variants_reference import REFERENCE_VARIANTS
from scenarios.incidents.variants import Incident

INCIDENT = Incident(
    name="deal_1680",
    title="Deal 1680: two pages for one payment",
    when="2025-12-15",
    happened="""\
Deal 1680 is paid for in two halves, and in December 2025 its second half, the *rest*, was due. Stripe's records \
show two Checkout Sessions for it: one created at 22:10:59, the other at 22:12:24, 85 seconds later. For a day the \
customer could pay on both. Nobody did; both expired unpaid. Nine days later the team analysed it, named a root \
cause, and proposed three fixes.""",
    argument="""\
**Why the analysis's root cause does not fit.** The analysis blames `hasSecondPaymentSession`: it counts a session \
only if it is open or paid, so an expired one does not keep the next from being made. But Stripe lets a session \
live for at least 30 minutes, and for 24 hours unless asked otherwise. At 22:12:24 the session of 22:10:59 was 85 \
seconds old and therefore open, unless somebody had closed it by hand, and a check at that moment would have found \
it: `one_run_after_the_other`. So whoever made the second session did not look, or had looked earlier, or got no \
answer.

**What does fit.** (1) The check is old when it is used: the cron first builds the list of all deals that need a \
session, paging through a week of Stripe's sessions for each of them, and only then creates. Two runs that begin \
85 seconds apart both have deal 1680 on their list. Replayed by the clock, they create at 22:10:59 and 22:12:24 to \
the second. (2) The other path, `createCheckoutSessionForDeal`, asks only the database, which is blind until the \
session is saved, and stays blind if the process dies or the answer is lost. (3) Both checks fail open: an error \
is read as "no session". (4) The notice fails and a person makes a second link by hand; this too replays to the \
second. The records do not tell which of the four it was. All four are the same mistake: look, then act, with \
nothing between that others would have to respect.

**Why the fixes fail.** A wider look (option 1) is as old as a narrow one, and it takes from the customer what the \
narrow one gave: a new page after the old one has expired. Fewer reminders (option 2) are about what is said \
afterwards. A lock (option 3) excludes others only while its holder lives, and Stripe's effect outlives it; a lock \
that lapses does not even do that. A deterministic idempotency key is the one that gets at the effect itself, and \
it lacks what a key cannot have: it does not know an expired session from a lost answer, and it is forgotten after \
a day. One more defect was in none of the proposals: "open or paid" takes a bank debit on its way for no session, \
and the customer pays twice without any race.

**What holds.** One row that says "this deal's payment of this kind is to have a session, asked for in these \
words", committed before Stripe hears of it. A partial unique index allows one live row; live means that money may \
still come by it, so it includes "claimed, answer unknown" and "complete, waiting for the bank". The idempotency \
key is derived from the row and has its generation in it; the request body is frozen in it. Whoever finds the row \
unfinished makes the same request again. When a session has ended without money, the transaction that notes it \
inserts the next generation. An operator's new link closes the old page first. And an error is never an answer.""",
    variants=(*DEPLOYED, *PROPOSED, *REFERENCE_VARIANTS),
)
