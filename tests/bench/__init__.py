"""How fast is it? Run ``tox -e bench``, or ``python -m tests.bench --help``."""
