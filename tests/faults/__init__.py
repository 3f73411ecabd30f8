"""The fault campaign: everything that is done wrong to a run, its files and its servers, and what must come of it.

``python -m tests.faults`` runs all of it and writes the tally of docs/reliability.md; ``python -m tests.faults store
inputs`` runs kinds of it. The suite runs a part of each kind (``test_short.py``). A kind is a module of this folder
with ``cases()``, its ``TITLE`` and how many of its cases are ``IN_SUITE``.
"""
