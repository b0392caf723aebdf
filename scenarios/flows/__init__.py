"""Generative scenarios of the reference's flows, each over several people, faults and times."""
