"""The experiments of the paper, as published."""
