"""The roles of networks: read in, any trunk, head. A trunk that makes no sense in a role is refused by name.

`Denoiser` and `Causal` give logits of every position, `Encoder` and `Conditioner` features. `given` are the attributes
of each example; None = none is given. What an invalid position holds reaches no valid one.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Float32, Int

from catgen.interfaces import InputError
from catgen.kinds import Recipe, name_of
from catgen.meshes import spread
from catgen.networks import TRUNKS
from catgen.networks.conditions import NO_CONDITIONS, Conditions
from catgen.networks.parts.auxiliary_heads import AuxiliaryHeads
from catgen.networks.parts.embedding import Embedding
from catgen.networks.parts.given import Given
from catgen.networks.parts.linear import Linear
from catgen.networks.parts.shift import following, shifted
from catgen.networks.parts.time import TimeVector
from catgen.networks.trunk import Abilities, Ends

_MAY_BE_NONE = ("num_layers", "conv_width", "time_width", "dropout", "input_dropout")


class Stack(nnx.Module):
  """What the roles share: read in, trunk and head, with what is given and the time added to what is read.

  Args:
    role: in words, for messages.
    given: categories of each attribute, as in `EventSpec.given`.
  """

  def __init__(
    self,
    recipe: Recipe,
    role: str,
    ends: Ends,
    *,
    given: tuple[int, ...] = (),
    rngs: nnx.Rngs,
  ) -> None:
    check(recipe, role, ends)
    key = rngs.params() if ends.categorical else None  # first, so that a seed means the table that it always meant
    self.trunk: Any = recipe(ends, rngs=rngs)
    width = self.trunk.num_inputs
    if self.trunk.read_in is not None:
      self.read_in: Any = None
    elif key is not None:
      self.read_in = Embedding(ends.num_inputs, width, key=key)
    else:
      self.read_in = Linear(ends.num_inputs, width, rngs=rngs)
    self.given = Given(given, width) if given else None
    self.time = TimeVector(width, rngs=rngs) if ends.timed and not self.trunk.abilities.time else None
    own = self.trunk.head is not None
    self.head: Any = None if own else Linear(self.trunk.num_outputs, ends.num_outputs, init=ends.init, rngs=rngs)

  def read(self, x: Array) -> Float[Array, "*positions inputs"]:
    """Returns features of what comes in."""
    return (self.trunk.read_in if self.read_in is None else self.read_in)(x)

  def __call__(
    self, h: Float[Array, "batch *event inputs"], conditions: Conditions
  ) -> Float32[Array, "batch *event outputs"]:
    """Returns outputs of features that were read."""
    return self.outputs(self._features(h, conditions))

  def costs(
    self,
    h: Float[Array, "batch *event inputs"],
    conditions: Conditions,
    cost: Callable[..., Array],
    states: Sequence[Int[Array, "batch *event"]],
    num_pieces: int,
  ) -> Float[Array, "batch *event"]:
    """Returns cost(outputs, *states) of every position without ever holding the outputs of all of them.

    The positions are worked on in pieces, [batch, positions of a piece, outputs], in the gradient too, where the
    outputs are computed again. A trunk with a head of its own may look at several positions: its outputs are whole.
    """
    features = self._features(h, conditions)
    if self.head is None:
      return cost(self.outputs(features), *states)
    shape = states[0].shape

    def cut(values: Array, *last: int) -> Array:
      return spread(values.reshape(shape[0], num_pieces, -1, *last).swapaxes(0, 1), axis=1)

    pieces = (cut(features, features.shape[-1]), *map(cut, states))
    found = jax.lax.map(jax.checkpoint(lambda piece: spread(cost(self.head(piece[0]), *piece[1:]))), pieces)
    return spread(found.swapaxes(0, 1).reshape(shape))

  def of_layers(
    self, h: Float[Array, "batch *event inputs"], conditions: Conditions
  ) -> Float[Array, "layers batch *event features"]:
    """Returns the features of every layer, of features that were read."""
    return spread(self.trunk.of_layers(spread(self._with_given(h, conditions.given)), conditions), axis=1)

  def _features(
    self, h: Float[Array, "batch *event inputs"], conditions: Conditions
  ) -> Float32[Array, "batch *places features"]:
    if self.time is not None and conditions.time is not None:
      h, conditions = _added(h, self.time(conditions.time)), conditions._replace(time=None)
    return spread(self.trunk(spread(self._with_given(h, conditions.given)), conditions))

  def decode(
    self, h: Float[Array, "batch inputs"], *, given: Array | None, cache: Any, position: Int[Array, ""]
  ) -> tuple[Float32[Array, "batch outputs"], Any]:
    """Returns outputs of one position, and the cache for the next."""
    h, cache = self.trunk.decode(self._with_given(h, given), cache=cache, position=position)
    return self.outputs(h), cache

  def _with_given(self, h: Array, given: Array | None) -> Array:
    if self.given is not None:
      return _added(h, self.given(given))
    if given is not None and given.shape[1]:
      raise InputError("attributes are given, but the network was built for none; set EventSpec.given")
    return h

  def outputs(self, h: Float[Array, "*places features"]) -> Float32[Array, "*positions outputs"]:
    """Returns outputs of the trunk's features."""
    return (self.trunk.head if self.head is None else self.head)(h)


def _before(conditions: Conditions, event_shape: tuple[int, ...]) -> Conditions:
  """Returns conditions of the position before each one; before the first all is well."""
  valid = conditions.valid
  return conditions if valid is None else conditions._replace(valid=shifted(valid, True, event_shape))


def _added(h: Float[Array, "batch *event width"], vector: Float[Array, "examples width"]) -> Array:
  """Returns h with a vector of each example added at every position."""
  return h + vector.reshape(len(vector), *(1,) * (h.ndim - 2), -1)


def check(recipe: Recipe, role: str, ends: Ends) -> None:
  """Raises InputError where a trunk makes no sense in a role, or does not take such events."""
  make: Any = recipe.make
  abilities: Abilities = make.abilities
  name = _name(recipe)
  _check_sizes(recipe, name)
  if abilities.num_axes not in (None, len(ends.event_shape)):
    kinds = able(lambda each: each.num_axes in (None, len(ends.event_shape)))
    raise InputError(f"{name} needs maps, not events of shape {ends.event_shape}; for them choose one of {kinds}")
  if abilities.blind and role != "an encoder":
    raise InputError(f"{name} reads nothing and cannot be {role}; choose one of {able(lambda each: not each.blind)}")
  if ends.causal and not abilities.causal:
    kinds = able(lambda each: each.causal)
    raise InputError(f"{name} sees positions on all sides and cannot be {role}; choose one of {kinds}")


def able(test: Callable[[Abilities], bool]) -> str:
  """Returns the names of the trunks whose abilities pass a test."""
  makes: dict[str, Any] = {name: kind.make for name, kind in TRUNKS.items()}
  return ", ".join(name for name, make in makes.items() if test(make.abilities))


def _name(recipe: Recipe) -> str:
  return next((name for name, kind in TRUNKS.items() if kind.make is recipe.make), name_of(recipe.make))


def _check_sizes(recipe: Recipe, name: str) -> None:
  """Raises InputError for a whole number that is no size: below 1, or below 0 where none of something may be meant."""
  for key, value in recipe.keywords.items():
    least = 0 if key in _MAY_BE_NONE else 1
    for size in value if isinstance(value, list | tuple) else [value]:
      if isinstance(size, int) and not isinstance(size, bool) and size < least:
        raise InputError(f"{key} of {name} is {value}; it must be at least {least}")


class Denoiser(nnx.Module):
  """From corrupted categories and a time to logits of the clean ones. Untrained, it predicts uniformly.

  Args:
    recipe: of a trunk.
    num_inputs, num_outputs: categories in (with a mask state, one more) and logits out.
    given: categories of each attribute that may condition an example.
  """

  def __init__(
    self,
    recipe: Recipe,
    event_shape: tuple[int, ...],
    num_inputs: int,
    num_outputs: int,
    given: tuple[int, ...] = (),
    *,
    rngs: nnx.Rngs,
  ) -> None:
    ends = Ends(tuple(event_shape), num_inputs, num_outputs, "zeros", timed=True)
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
    rngs: nnx.Rngs,
  ) -> None:
    self.event_shape, self.start = tuple(event_shape), num_inputs
    ends = Ends(tuple(event_shape), num_inputs + 1, num_outputs, "zeros", causal=True)
    self.stack = Stack(recipe, "a causal network", ends, given=given, rngs=rngs)
    trunk, wanted = self.stack.trunk, intermediate or second
    if wanted and not trunk.abilities.layers:
      kinds = able(lambda each: each.layers)
      raise InputError(
        f"{_name(recipe)} does not tell the features of its layers, which predict; choose one of {kinds}"
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
    return self.stack.decode(self.stack.read(token), given=given, cache=cache, position=position)


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
  stay equal forever; those of the paper's LSTM start at random.

  Args:
    recipe: of a trunk.
    num_channels, num_context: numbers of a position in, latents and context; num_outputs: features out.
    causal: position l sees positions < l only, in row-major order, and what is read before the first is zeros.
    given: categories of each attribute that may condition an example.
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
    rngs: nnx.Rngs,
  ) -> None:
    self.event_shape, self.causal = tuple(event_shape), causal
    role = "a causal conditioner" if causal else "a conditioner"
    ends = Ends(
      tuple(event_shape), num_channels + num_context, num_outputs, "constant", categorical=False, causal=causal
    )
    self.stack = Stack(recipe, role, ends, given=given, rngs=rngs)

  def __call__(
    self, z: Float[Array, "batch *event channels"], conditions: Conditions
  ) -> Float32[Array, "batch *event outputs"]:
    """Returns features of every position, which depend on all valid ones, or on those before it."""
    z = z if conditions.context is None else jnp.concatenate([z, conditions.context], axis=-1)
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
