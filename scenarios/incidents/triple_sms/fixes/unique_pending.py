"""The first optional improvement: a unique index on pending notifications. It is the analysis's own SQL."""

from typing import Final

UNIQUE_PENDING: Final = """
CREATE UNIQUE INDEX idx_unique_pending_notification
ON scheduled_notifications(lead_id)
WHERE status = 'pending';
"""
