"""Experiments: one small file each, listing what differs from configs/base.py."""
