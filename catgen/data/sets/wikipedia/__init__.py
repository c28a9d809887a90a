"""text8 and enwik8."""
