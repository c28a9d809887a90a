"""Benchmarks: scripts that print a table. They take the devices as they find them and assert nothing."""
