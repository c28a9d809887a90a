"""Experiments: one small file each, with what differs from the defaults of the signatures (--print_config)."""
