"""Command-line entry points: absl flags, a few lines each."""
