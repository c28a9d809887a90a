"""Categorical diffusion: see `model`, and `learned` for masked models whose rates are learned."""

from catgen.models.diffusion.learned import learned_masking, masking_rates
from catgen.models.diffusion.model import diffusion

__all__ = ["diffusion", "learned_masking", "masking_rates"]
