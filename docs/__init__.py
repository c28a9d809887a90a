"""The documentation; `docs.making` makes the site of it."""
