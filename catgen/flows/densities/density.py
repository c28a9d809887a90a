"""A density p(v): a chain of flow layers on a base."""

from typing import Any

from flax import nnx
from jaxtyping import Array, Float, Int, Key

from catgen.flows.densities.fixed_base import unit_logistic, unit_normal
from catgen.flows.densities.learned_normal import LearnedNormal
from catgen.flows.layer import Values
from catgen.flows.layers.chain import Chain
from catgen.interfaces import InputError
from catgen.networks.conditions import NO_CONDITIONS, Conditions

BASES: dict[str, Any] = {"normal": LearnedNormal, "logistic": unit_logistic, "unit_normal": unit_normal}


class Density(nnx.Module):
  """log p(v) = log p_base(z) + log |det dz/dv| with z the chain's inverse of v, at as many positions as v.

  Args:
    base: "normal", with a learned location and scale of every channel; "logistic" or "unit_normal", of location 0 and
      deviation 1.

  Raises:
    InputError: unknown base.
  """

  def __init__(self, chain: Chain, num_channels: int, event_shape: tuple[int, ...], base: str = "normal") -> None:
    if base not in BASES:
      raise InputError(f"base {base!r} of a density is unknown; choose one of {', '.join(BASES)}")
    self.chain: Any = chain
    self.base: Any = BASES[base](num_channels)
    self.event_shape = tuple(event_shape)

  def log_prob(self, v: Values, conditions: Conditions = NO_CONDITIONS) -> Float[Array, "batch"]:
    """Returns log p(v | given) in nats."""
    z, log_det = self.chain.inverse(v, conditions)
    return self.base.log_prob(z, self.chain.moved(conditions).valid) + log_det

  def sample(self, keys: Key[Array, "batch"], given: Int[Array, "batch attributes"] | None = None) -> Values:
    """Draws one latent per key, all of a batch together."""
    return self.chain.forward(self.base.sample(keys, self.event_shape), Conditions(given=given))[0]

  def initialize(self, v: Values, conditions: Conditions = NO_CONDITIONS) -> None:
    """Sets what depends on data (ActNorm)."""
    self.chain.initialize(v, conditions)
