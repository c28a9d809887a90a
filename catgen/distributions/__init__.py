"""Distributions as modules of pure functions with the same names: log_prob, sample, entropy, kl, ..."""
