"""The functions that send and then note that they have sent. As deployed each of the two systems had a copy of them."""

from __future__ import annotations

import logging
import time

from scenarios.incidents.triple_sms.deployed.deployment import Deployment

logger = logging.getLogger(__name__)

MOBIZON = "https://api.mobizon.kz/service/message/sendSmsMessage?output=json&api=v1&apiKey=test"
RESEND = "https://api.resend.com/emails"
RESEND_KEY = {"Authorization": "Bearer re_test"}


def result_text(lead_id: str) -> str:
    """What the SMS says; inferred."""
    return f"Your test result: https://proftest.example/r/{lead_id}"


class TrackedSends:
    """Sends, then tracks. There is no check: source 3 of the analysis."""

    def __init__(self, deployment: Deployment) -> None:
        self.supabase = deployment.supabase
        self.fetch = deployment.fetch

    async def send_proftest_sms_with_tracking(self, phone: str, _email: str, lead_id: str) -> bool:
        """One SMS, and `sms_sent` if it went well; whether *that* went well is not looked at."""
        success = await self.send_proftest_result_sms(phone, lead_id)
        if success:
            await self.supabase.write(
                "UPDATE landing_leads SET sms_sent = 1, sms_sent_at = ? WHERE id = ?",
                (int(time.time()), lead_id),
            )
        return success

    async def send_proftest_email_with_tracking(self, name: str, email: str, lead_id: str) -> bool:
        """One e-mail, and `email_sent` if it went well."""
        success = await self._email(name, email, lead_id)
        if success:
            await self.supabase.write(
                "UPDATE landing_leads SET email_sent = 1, email_sent_at = ? WHERE id = ?",
                (int(time.time()), lead_id),
            )
        return success

    async def send_proftest_result_sms(self, phone: str, lead_id: str) -> bool:
        """Mobizon; an exception and an answer that is no success both count as "not sent"."""
        try:
            answer = await self.fetch.post(MOBIZON, form={"recipient": phone, "text": result_text(lead_id)})
            return bool(answer.status == 200 and answer.json()["code"] == 0)
        except Exception as error:
            logger.warning("[Lead %s] SMS failed: %s", lead_id, error)
            return False

    async def _email(self, name: str, email: str, lead_id: str) -> bool:
        mail = {
            "from": "ProfTest <test@proftest.example>",
            "to": email,
            "subject": "Your test result",
            "text": f"Hello {name}! {result_text(lead_id)}",
        }
        try:
            answer = await self.fetch.post(RESEND, json=mail, headers=RESEND_KEY)
        except Exception as error:
            logger.warning("[Lead %s] e-mail failed: %s", lead_id, error)
            return False
        return bool(answer.status == 200)
