"""Incident: a guide to awarding contest tickets automatically, which awards twice, never, or after the draw."""
