"""Partial order reduction: one execution for each interleaving that can make a difference, and a claim about all of them."""
