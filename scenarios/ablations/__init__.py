"""Every guard of the reference, taken away from outside, one at a time: the scenarios must notice, by a named claim.

A guard whose removal nothing notices is not needed, or not tested. `registry` lists them; ``python -m scenarios.ablations`` (or
``tox -e ablations``) runs them and prints how many executions each one survived.
"""
