"""Faults thrown at the real commands, and what must hold after each: see `python -m tests.faults --help`."""
