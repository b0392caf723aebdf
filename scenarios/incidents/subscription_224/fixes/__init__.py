"""Fixes that were proposed for #224 and never deployed, each as the smallest change to v2.4.10."""
