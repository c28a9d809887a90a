"""Flows on categorical data: x is a deterministic function of a continuous latent v, and p(v) is a flow."""
