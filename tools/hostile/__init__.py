"""Files and configs of strangers that mean harm, or are broken in ways that do as much harm.

    python -m tools.hostile                 tries each and prints the table as Markdown
    python -m tools.hostile callback pipe   tries those whose names hold one of these words

One module a subject; each has `cases()`, and tests/test_hostile.py tries them too. `case.py` says
what must hold: nothing of an input runs, nothing outside the run's directory is written, changed or
deleted, and nothing reaches the screen that a terminal would obey.
"""
