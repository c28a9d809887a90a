"""Surjections (the paper's Table 1): deterministic from latent to category, a probabilistic inverse the other way.

`forward` maps a latent to a category; an inverse maps a category and noise to a latent in its region and returns the
log-density of that latent given the category, computed from the noise.
"""
