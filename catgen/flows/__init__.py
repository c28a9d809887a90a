"""Flow layers: Flax modules that are bijections of latent sequences [batch, length, channels].

Every layer has `forward(z, *, context, valid, keys) -> (v, log_det)`, the generating direction, and `inverse(v, ...)
-> (z, log_det)`, the one that likelihoods take; log_det is summed per example over valid positions. What an invalid
position holds reaches no valid one. A layer that moves positions has `move(mask)`, one whose initialization depends on
data has `initialize(v, *, valid)`.
"""
