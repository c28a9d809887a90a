"""Attention of noisy blocks: each sees a part of a clean sequence and what is visible of itself, in one softmax."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from catgen.kernels.attention import MASKED

Blocks = Float[Array, "batch blocks slots heads dim"]
Clean = Float[Array, "batch keys heads dim"]


def attend_blocks(
  blocks: tuple[Blocks, Blocks, Blocks],
  sequence: tuple[Clean, Clean],
  *,
  seen: Bool[Array, "examples blocks keys"],
  visible: Bool[Array, "batch blocks slots"] | None = None,
  causal: bool = False,
) -> Blocks:
  """Returns softmax(query [clean_key, key]^T / sqrt(dim)) [clean_value, value], each block with its own keys.

  Args:
    blocks: query, key and value of blocks that do not see each other.
    sequence: clean_key and clean_value of a sequence that all blocks of an example share.
    seen: which of its keys each block sees; one example stands for all.
    visible: which of its own slots a block sees; None = all.
    causal: slot i sees of its own block slots 0 .. i only.

  Scores take memory for blocks * slots queries times keys + slots, and none for slots of other blocks. Numerics are
  those of `attend`.
  """
  (query, key, value), (clean_key, clean_value) = blocks, sequence
  query = query * query.shape[-1] ** -0.5
  clean = jnp.einsum("bmqhd,bkhd->bhmqk", query, clean_key, preferred_element_type=jnp.float32)
  own = jnp.einsum("bmqhd,bmkhd->bhmqk", query, key, preferred_element_type=jnp.float32)
  clean = jnp.where(seen[:, None, :, None], clean, MASKED)
  if visible is not None:
    own = jnp.where(visible[:, None, :, None], own, MASKED)
  if causal:
    own = jnp.where(jnp.tri(own.shape[-1], dtype=bool)[None, None, None], own, MASKED)
  top = jax.lax.stop_gradient(jnp.maximum(clean.max(axis=-1), own.max(axis=-1)))[..., None]
  clean, own = jnp.exp(clean - top), jnp.exp(own - top)
  total = clean.sum(axis=-1) + own.sum(axis=-1)
  mixed = jnp.einsum(
    "bhmqk,bkhd->bmqhd", clean.astype(value.dtype), clean_value, preferred_element_type=jnp.float32
  ) + jnp.einsum("bhmqk,bmkhd->bmqhd", own.astype(value.dtype), value, preferred_element_type=jnp.float32)
  return (mixed / jnp.moveaxis(total, 1, 3)[..., None]).astype(value.dtype)
