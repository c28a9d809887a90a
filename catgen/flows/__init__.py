"""Flows: Flax bijections of latents that keep the axes of events, [batch, *axes, channels], and densities made of them.

`layer.py` says what a layer is, `layers/` has them, `densities/` what is built from them.
"""
