"""Categorical diffusion: see `model`."""

from catgen.models.diffusion.model import diffusion

__all__ = ["diffusion"]
