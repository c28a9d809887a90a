"""Masked diffusion in blocks, which follow one another as the positions of an autoregressive model do: see `model`."""

from catgen.models.block_diffusion.model import block_diffusion

__all__ = ["block_diffusion"]
