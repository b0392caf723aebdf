"""Dated, documented incidents: what was deployed, what was proposed, and what the reference does instead."""
