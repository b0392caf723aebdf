"""Incident: one registration in December 2025 was answered with three SMS."""
