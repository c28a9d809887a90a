"""Honest numbers about a trained model: likelihoods, baselines, samples, corrections, completions, proofs.

Everything here sees a `Model`, batches of integers and an `EventSpec`; never a family or a data set by name.
"""
