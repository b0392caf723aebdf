"""Option 2: of several expired sessions of one deal, `findExpiredSessionTasks` returns one."""

from scenarios.incidents.deal_1680.deployed.second_payment_scheduler import SecondPaymentScheduler


class OneTaskPerDeal(SecondPaymentScheduler):
    """The customer is reminded once of two pages; both were there to be paid on for a day."""

    async def find_expired_session_tasks(self) -> list[int]:
        """As deployed, each deal once."""
        return list(dict.fromkeys(await super().find_expired_session_tasks()))
