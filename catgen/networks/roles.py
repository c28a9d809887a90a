"""The roles of networks: read in, any trunk, head. A trunk that makes no sense in a role is refused by name.

`Denoiser` and `Causal` give logits of every position, `Encoder` and `Conditioner` features. `given` are the attributes
of each example; None = none is given. What an invalid position holds reaches no valid one.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Float32, Int

from catgen.interfaces import InputError, PyTree, ReadOptions
from catgen.kinds import Recipe
from catgen.meshes import spread
from catgen.networks.conditions import NO_CONDITIONS, Conditions
from catgen.networks.parts.auxiliary_heads import AuxiliaryHeads
from catgen.networks.parts.linear import Init
from catgen.networks.parts.shift import following, shifted
from catgen.networks.stack import Stack, able, trunk_name
from catgen.networks.trunk import Ends


def _before(conditions: Conditions, event_shape: tuple[int, ...]) -> Conditions:
  """Returns conditions of the position before each one; before the first all is well."""
  valid = conditions.valid
  return conditions if valid is None else conditions._replace(valid=shifted(valid, True, event_shape))


class Denoiser(nnx.Module):
  """From corrupted categories and a time to logits of the clean ones. Untrained, it predicts uniformly.

  Args:
    recipe: of a trunk.
    num_inputs, num_outputs: categories in (with a mask state, one more) and logits out.
    given: categories of each attribute that may condition an example.
    sizes: categories of each position, where they differ; logits of the others are -inf.
  """

  def __init__(
    self,
    recipe: Recipe,
    event_shape: tuple[int, ...],
    num_inputs: int,
    num_outputs: int,
    given: tuple[int, ...] = (),
    *,
    sizes: tuple[int, ...] | None = None,
    rngs: nnx.Rngs,
  ) -> None:
    ends = Ends(tuple(event_shape), num_inputs, num_outputs, "zeros", timed=True, sizes=sizes)
    self.stack = Stack(recipe, "a denoiser", ends, given=given, rngs=rngs)

  def __call__(self, x: Int[Array, "batch *event"], conditions: Conditions) -> Float32[Array, "batch *event outputs"]:
    """Returns logits of the clean category at every position. Raises InputError where no time is told."""
    if conditions.time is None:
      raise InputError("a denoiser is called without a time; set Conditions.time")
    return self.stack(self.stack.read(x), conditions)

  def costs(
    self, x: Int[Array, "batch *event"], conditions: Conditions, cost: Callable[..., Array], *states: Array, pieces: int
  ) -> Float[Array, "batch *event"]:
    """Returns cost(logits, *states) of every position, in `pieces` of all positions one after the other."""
    return self.stack.costs(self.stack.read(x), conditions, cost, states, pieces)


class Causal(nnx.Module):
  """Each position predicted from those before it in row-major order, all at once or one at a time.

  Args: those of `Denoiser`. The category `num_inputs` is the start token, which stands before the first position.
  Untrained, it predicts uniformly.

    intermediate, second: see `AuxiliaryHeads`; they need a trunk that tells the features of its layers.
    blocks: see `BlockCausal`, which is one that reads noisy blocks too.
  """

  def __init__(
    self,
    recipe: Recipe,
    event_shape: tuple[int, ...],
    num_inputs: int,
    num_outputs: int,
    given: tuple[int, ...] = (),
    *,
    intermediate: bool = False,
    second: bool = False,
    sizes: tuple[int, ...] | None = None,
    blocks: bool = False,
    rngs: nnx.Rngs,
  ) -> None:
    self.event_shape, self.start = tuple(event_shape), num_inputs
    ends = Ends(tuple(event_shape), num_inputs + 1, num_outputs, "zeros", causal=True, sizes=sizes, blocks=blocks)
    self.stack = Stack(recipe, "a causal network", ends, given=given, rngs=rngs)
    trunk, wanted = self.stack.trunk, intermediate or second
    if wanted and sizes is not None:
      raise InputError("layers cannot predict too where columns have different sizes; leave what they predict out")
    if wanted and not trunk.abilities.layers:
      kinds = able(lambda each: each.layers)
      raise InputError(
        f"{trunk_name(recipe)} does not tell the features of its layers, which predict; choose one of {kinds}"
      )
    heads = functools.partial(AuxiliaryHeads, num_outputs=num_outputs, intermediate=intermediate, second=second)
    self.auxiliary: Any = heads(trunk.num_layers, trunk.num_outputs) if wanted else None

  def __call__(
    self, x: Int[Array, "batch *event"], conditions: Conditions = NO_CONDITIONS
  ) -> Float32[Array, "batch *event outputs"]:
    """Returns logits of every position given the valid ones before it."""
    return self.stack(*self._read(x, conditions))

  def costs(
    self, x: Int[Array, "batch *event"], conditions: Conditions, cost: Callable[..., Array], *states: Array, pieces: int
  ) -> Float[Array, "batch *event"]:
    """Returns cost(logits, *states) of every position, in `pieces` of all positions one after the other."""
    return self.stack.costs(*self._read(x, conditions), cost, states, pieces)

  def with_auxiliary(
    self,
    x: Int[Array, "batch *event"],
    conditions: Conditions,
    cost: Callable[[Array, Array], Array],
    on: Float[Array, "layers"],
  ) -> tuple[Float[Array, "batch *event"], Float[Array, "batch *event"], Float[Array, "batch *event"]]:
    """Returns the costs of the network's own logits, and what `AuxiliaryHeads` adds up, at every position."""
    features = self.stack.of_layers(*self._read(x, conditions))
    after = following(x, 0, self.event_shape)
    first, second = self.auxiliary(features, on, cost, x, after)
    return cost(self.stack.outputs(features[-1].astype(jnp.float32)), x), first, second

  def empty_memory(self, batch_size: int, size: int | None = None) -> PyTree:
    """Returns what `read_on` is given where nothing stands before; size: positions, None = as many as in training."""
    trunk = self.stack.trunk
    inner = trunk.empty_memory(batch_size, trunk.memory_length if size is None else size)
    token, known = jnp.full((batch_size,), self.start, jnp.int32), jnp.ones((batch_size,), bool)
    return {"trunk": inner, "last": spread(token), "known": spread(known)}

  def read_on(
    self, x: Int[Array, "batch length"], memory: PyTree, conditions: Conditions, options: ReadOptions
  ) -> tuple[Float32[Array, "batch length outputs"], PyTree]:
    """Returns logits of every position given those before it and what the memory holds, and the memory after them."""

    def later(values: Array, first: Array) -> Array:
      return jnp.concatenate([first[:, None], values[:, :-1]], axis=1)

    valid = jnp.ones(x.shape, bool) if conditions.valid is None else conditions.valid
    known = jnp.where(valid, x, self.start)
    h = self.stack.read(later(known, memory["last"]))
    inner = conditions._replace(valid=later(valid, memory["known"]), memory=memory["trunk"])
    logits, trunk = self.stack.read_on(h, inner, options)
    return logits, {"trunk": trunk, "last": known[:, -1], "known": valid[:, -1]}

  def _read(self, x: Array, conditions: Conditions) -> tuple[Array, Conditions]:
    tokens, conditions = shifted(x, self.start, self.event_shape), _before(conditions, self.event_shape)
    if conditions.valid is not None:
      tokens = jnp.where(conditions.valid, tokens, self.start)  # padding is followed by its own stream
    return self.stack.read(tokens), conditions

  def init_cache(self, batch_size: int) -> Any:
    """Returns what `decode` carries before the first position, arrays [batch, ...]."""
    return self.stack.trunk.init_cache(batch_size)

  def decode(
    self,
    cache: Any,
    token: Int[Array, "batch"],
    position: Int[Array, ""],
    *,
    given: Int[Array, "batch attributes"] | None = None,
  ) -> tuple[Float32[Array, "batch outputs"], Any]:
    """Returns the logits of one position, numbered in row-major order, and the cache for the next.

    Args:
      cache: from `init_cache` or from the position before; positions come in order from 0.
      token: the category at position - 1; for position 0 the start token, `num_inputs`.
    """
    return self.stack.decode(self.stack.read(token, position), given=given, cache=cache, position=position)


class Encoder(nnx.Module):
  """From categories to features, for the inverses of flows and other posteriors. Untrained, features are random."""

  def __init__(
    self, recipe: Recipe, event_shape: tuple[int, ...], num_inputs: int, num_outputs: int, *, rngs: nnx.Rngs
  ) -> None:
    ends = Ends(tuple(event_shape), num_inputs, num_outputs, "uniform")
    self.stack = Stack(recipe, "an encoder", ends, rngs=rngs)

  def __call__(
    self, x: Int[Array, "batch *event"], conditions: Conditions = NO_CONDITIONS
  ) -> Float32[Array, "batch *event outputs"]:
    """Returns features of every position."""
    return self.stack(self.stack.read(x), conditions)


class Conditioner(nnx.Module):
  """From latents to features from which a flow layer takes its parameters; causal or not.

  Untrained, features do not depend on the latents, but differ from each other, or the components of a mixture would
  stay equal forever; those of the paper's LSTM start at random. A decoder of latents is one that starts "uniform".

  Args:
    recipe: of a trunk.
    num_channels, num_context: numbers of a position in, latents and context; num_outputs: features out.
    causal: position l sees positions < l only, in row-major order, and what is read before the first is zeros.
    given: categories of each attribute that may condition an example.
    init: of the last layer, see `Ends.init`.
  """

  def __init__(
    self,
    recipe: Recipe,
    event_shape: tuple[int, ...],
    num_channels: int,
    num_outputs: int,
    *,
    num_context: int = 0,
    causal: bool = False,
    given: tuple[int, ...] = (),
    init: Init = "constant",
    rngs: nnx.Rngs,
  ) -> None:
    self.event_shape, self.causal = tuple(event_shape), causal
    role = "a causal conditioner" if causal else "a conditioner"
    ends = Ends(tuple(event_shape), num_channels + num_context, num_outputs, init, categorical=False, causal=causal)
    self.stack = Stack(recipe, role, ends, given=given, rngs=rngs)

  def __call__(
    self, z: Float[Array, "batch *event channels"], conditions: Conditions
  ) -> Float32[Array, "batch *event outputs"]:
    """Returns features of every position, which depend on all valid ones, or on those before it."""
    if conditions.context is not None:
      context = jnp.broadcast_to(conditions.context, (*z.shape[:-1], conditions.context.shape[-1]))
      z = jnp.concatenate([z, context], axis=-1)
    z = z if conditions.valid is None else jnp.where(conditions.valid[..., None], z, 0.0)
    h = self.stack.read(z)
    if self.causal:
      h, conditions = shifted(h, 0.0, self.event_shape), _before(conditions, self.event_shape)
    return self.stack(h, conditions)

  def init_cache(self, batch_size: int) -> Any:
    """Returns what `decode` of a causal conditioner carries before the first position, arrays [batch, ...]."""
    return self.stack.trunk.init_cache(batch_size)

  def decode(
    self,
    cache: Any,
    previous: Float[Array, "batch channels"],
    position: Int[Array, ""],
    *,
    given: Int[Array, "batch attributes"] | None = None,
  ) -> tuple[Float32[Array, "batch outputs"], Any]:
    """Returns the features of one position given the latent before it (not read at position 0), and the cache."""
    h = self.stack.read(previous)
    h = jnp.where(position > 0, h, jnp.zeros_like(h))
    return self.stack.decode(h, given=given, cache=cache, position=position)
