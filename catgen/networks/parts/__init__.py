"""Layers that trunks and roles are built from."""
