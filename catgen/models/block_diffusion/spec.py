"""What all parts of block diffusion models share, and what the network says of whole examples, all blocks at once."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, Shaped

from catgen.batches import refuse_scored, seen
from catgen.distributions import categorical
from catgen.interfaces import Batch, EventSpec, PyTree
from catgen.models.auxiliary import of_logits
from catgen.networks.block_causal import Clean
from catgen.networks.conditions import Conditions


class Spec(NamedTuple):
  """A block diffusion model: its events and its network."""

  event: EventSpec  # of one axis
  block_length: int  # L, positions of a block
  network: Callable  # `apply` of a `BlockCausal`

  @property
  def num_blocks(self) -> int:
    """Blocks of an example."""
    return self.event.shape[0] // self.block_length

  def rows(self, values: Shaped[Array, "batch length ..."]) -> Shaped[Array, "rows block ..."]:
    """Returns the positions of every block of every example."""
    return values.reshape(-1, self.block_length, *values.shape[2:])


def read_clean(spec: Spec, params: PyTree, batch: Batch, keys: Key[Array, "batch"] | None = None) -> Clean:
  """Returns what is kept of the examples themselves. Raises InputError if positions are context."""
  refuse_scored(batch, "a block diffusion model")
  return spec.network(params, batch.x, _told(spec, batch, keys), method="read_clean")


def log_p_of(
  spec: Spec,
  params: PyTree,
  clean: Clean,
  batch: Batch,
  masked: Bool[Array, "batch length"],
  keys: Key[Array, "batch"] | None = None,
) -> Float[Array, "batch length"]:
  """Returns log p in nats of the category at each masked position, given all blocks before and what is not masked."""
  told, (number, length) = _told(spec, batch, keys), batch.x.shape
  pieces = categorical.num_pieces(number, length, spec.event.num_classes)
  return spec.network(params, clean, batch.x, masked, told, of_logits, batch.x, pieces=pieces, method="of_blocks")


def predictions(
  spec: Spec, params: PyTree, clean: Clean, batch: Batch, masked: Bool[Array, "batch length"]
) -> Float[Array, "batch length classes"]:
  """Returns log p in nats of all categories, see `log_p_of`."""

  def normalized(logits: Array) -> Array:
    return jax.nn.log_softmax(logits.astype(jnp.float32))

  return spec.network(params, clean, batch.x, masked, _told(spec, batch), normalized, pieces=1, method="of_blocks")


def _told(spec: Spec, batch: Batch, keys: Array | None = None) -> Conditions:
  return Conditions(valid=seen(spec.event, batch.valid), keys=keys, given=batch.given)
