"""Cityscapes, of a copy of your own."""
