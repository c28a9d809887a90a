"""Experiments for one or more accelerators: today's networks in bfloat16, all positions at once."""
