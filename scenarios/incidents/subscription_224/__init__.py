"""Incident: one payment of 2026-01-08 extended subscription #224 twice."""
