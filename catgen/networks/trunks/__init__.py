"""Trunks: from features of every position to features of every position. The contract is in `catgen.networks.trunk`."""
