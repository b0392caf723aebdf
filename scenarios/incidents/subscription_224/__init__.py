"""Subscription #224, 2026-01-08: one 30-day payment, extended twice."""
