"""Samples of block diffusion models, drawn block by block, the positions of a block one call after another.

What attention needs of finished blocks is kept, so that a call reads the slots of one block only; a finished block is
read once more to be kept as well.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from catgen.chains import Chain, Observed, drawn_in_turn
from catgen.distributions import categorical
from catgen.interfaces import Infill, InputError, PyTree, SampleOptions, Samples
from catgen.keys import fold_in
from catgen.meshes import spread
from catgen.models.block_diffusion.spec import Spec
from catgen.models.block_diffusion.unmasking import calls_of_block, check, chosen_by, until_drawn
from catgen.models.rules import FIRST_HITTING, of_rank
from catgen.networks.block_causal import Clean

Labels = Int[Array, "batch attributes"] | None


class Reading(NamedTuple):
  """Where a sampler stands."""

  clean: tuple[Clean, ...]  # what is kept of the finished blocks; with guidance once more, read without labels
  tokens: Int[Array, "batch places"]  # K, then the category of each position, K where none is drawn yet


class Sampler(NamedTuple):
  """What draws: a model with its parameters, and how."""

  spec: Spec
  params: PyTree
  keys: Key[Array, "batch"]
  given: Labels
  options: SampleOptions

  @property
  def labels(self) -> tuple[Labels, ...]:
    """What each of the networks' readings is told, see `Reading.clean`."""
    return (self.given,) if self.options.guidance == 1 else (self.given, None)

  def begin(self, pattern: Observed | None) -> Reading:
    """Returns the state in which nothing is drawn but what is observed. Raises InputError for options."""
    check(self.spec, self.options)
    categorical.check_guidance(self.options, self.given)
    number, k = len(self.keys), self.spec.event.num_classes
    clean = self.spec.network(self.params, number, method="unread")
    tokens = jnp.full((number, self.spec.event.shape[0] + 1), k, jnp.int32)
    if pattern is not None:
      tokens = tokens.at[:, 1:].set(jnp.where(pattern.observed, pattern.x, k).astype(jnp.int32))
    return Reading((clean,) * len(self.labels), spread(tokens))

  def block(self, tokens: Int[Array, "batch places"], number: Int[Array, ""]) -> Int[Array, "batch slots"]:
    """Returns the category before a block, and those of its positions."""
    size = self.spec.block_length
    return jax.lax.dynamic_slice_in_dim(tokens, number * size, size + 1, axis=1)

  def unfinished(self, block: Int[Array, "batch slots"]) -> Bool[Array, "batch block"]:
    """Returns which positions of a block are not drawn."""
    return block[:, 1:] == self.spec.event.num_classes

  def call(
    self, clean: tuple[Clean, ...], block: Int[Array, "batch slots"], number: Int[Array, ""], step: Int[Array, ""]
  ) -> Int[Array, "batch slots"]:
    """Returns a block in which the positions of one call more are drawn; step: the number of the call, of all."""
    log_p, masked = self._log_p(clean, block, number), self.unfinished(block)
    if self.options.order in (None, FIRST_HITTING):
      left = jnp.maximum(masked.sum(axis=1), 1)
      keys = fold_in(fold_in(self.keys, 2), step)
      chosen = of_rank(masked, jax.vmap(lambda key, n: jax.random.randint(key, (), 0, n))(keys, left))
    else:
      chosen = chosen_by(self.options, log_p, masked)
    restricted = categorical.restrict(log_p, self.options)
    drawn = categorical.sample_each(fold_in(fold_in(self.keys, 1), step), restricted).astype(block.dtype)
    return spread(block.at[:, 1:].set(jnp.where(chosen, drawn, block[:, 1:])))

  def finish(self, reading: Reading, number: Int[Array, ""]) -> Reading:
    """Returns the state once a block that is drawn is read."""
    read, before = partial(self.spec.network, self.params, method="read_block"), self.block(reading.tokens, number)
    each = zip(reading.clean, self.labels, strict=True)
    return reading._replace(clean=tuple(read(own, before[:, :-1], number, given=label) for own, label in each))

  def with_block(self, reading: Reading, block: Int[Array, "batch slots"], number: Int[Array, ""]) -> Reading:
    """Returns the state with what is drawn of a block."""
    first = number * self.spec.block_length
    return reading._replace(tokens=jax.lax.dynamic_update_slice_in_dim(reading.tokens, block, first, axis=1))

  def _log_p(
    self, clean: tuple[Clean, ...], block: Int[Array, "batch slots"], number: Int[Array, ""]
  ) -> Float[Array, "batch block classes"]:
    each = [
      jax.nn.log_softmax(
        self.spec.network(self.params, own, block, number, given=label, method="of_block").astype(jnp.float32)
      )
      for own, label in zip(clean, self.labels, strict=True)
    ]
    return each[0] if len(each) == 1 else categorical.guided(each[0], each[1], self.options.guidance)


def sample(
  spec: Spec,
  params: PyTree,
  keys: Key[Array, "batch"],
  *,
  given: Labels = None,
  state: PyTree,
  options: SampleOptions,
) -> Samples:
  """See `Model.sample`. Without an order the positions of a block are drawn one by one in a random order."""
  return _complete(Sampler(spec, params, keys, given, options), None)


def make_infill(spec: Spec) -> Infill:
  """Returns how observed prefixes are continued: by what the network says of the rest."""
  if spec.block_length == 1:
    explanation = "exact: with blocks of one position the model is autoregressive, and goes on after an observed prefix"
    return Infill(partial(_infill, spec), True, explanation, prefix_only=True)
  explanation = (
    f"exact where the observed prefix ends with one of the blocks of {spec.block_length} positions; within a block an"
    " approximation: its rest is drawn in the order 'observed positions first', one of those whose mean the model is"
  )
  return Infill(partial(_infill, spec), False, explanation, prefix_only=True)


def _infill(
  spec: Spec,
  params: PyTree,
  x: Int[Array, "batch length"],
  observed: Bool[Array, "batch length"],
  keys: Key[Array, "batch"],
  *,
  given: Labels = None,
  state: PyTree,
  options: SampleOptions,
) -> Samples:
  """See `Infill.draw`."""
  return _complete(Sampler(spec, params, keys, given, options), Observed(x, observed))


def _complete(sampler: Sampler, pattern: Observed | None) -> Samples:
  """Draws what is not observed, block by block."""
  spec, options, nothing = sampler.spec, sampler.options, sampler.begin(pattern)
  calls = calls_of_block(spec, options)

  def draw_block(reading: Reading, number: Array) -> tuple[Reading, Array]:
    def call(done: Array, drawn: tuple[Array, Array]) -> tuple[Array, Array]:
      block, turn = drawn
      after = sampler.call(reading.clean, block, number, number * spec.block_length + done)
      new = sampler.unfinished(block) & ~sampler.unfinished(after)
      return after, jnp.where(new, number * calls + done + 1, turn)

    start = sampler.block(reading.tokens, number)
    drawn = start, jnp.zeros((len(start), spec.block_length), jnp.int32)
    block, turn = until_drawn(spec, options, call, drawn, lambda drawn: sampler.unfinished(drawn[0]))
    return sampler.finish(sampler.with_block(reading, block, number), number), turn

  reading, turns = jax.lax.scan(draw_block, nothing, jnp.arange(spec.num_blocks))
  x = reading.tokens[:, 1:]
  turn = jnp.moveaxis(turns, 0, 1).reshape(x.shape)
  chain = drawn_in_turn(x, turn, spec.num_blocks * calls, options.num_frames, spec.event.num_classes)
  return Samples(x, jnp.ones(x.shape, bool), chain)


def make_chain(spec: Spec) -> Chain:
  """Returns the sampler, some calls at a time."""
  return Chain(partial(_num_moves, spec), partial(_begin, spec), partial(_go_on, spec), _shown)


def _num_moves(spec: Spec, options: SampleOptions) -> int:
  """See `Chain.num_moves`. One for each position."""
  if options.order is not None:
    raise InputError(f"order {options.order!r} has no chain that can be watched; leave order out")
  check(spec, options)
  return spec.event.shape[0]


def _begin(
  spec: Spec,
  params: PyTree,
  keys: Key[Array, "batch"],
  *,
  pattern: Observed | None = None,
  given: Labels = None,
  state: PyTree,
  options: SampleOptions,
) -> Reading:
  """See `Chain.start`."""
  _num_moves(spec, options)
  return Sampler(spec, params, keys, given, options).begin(pattern)


def _go_on(
  spec: Spec,
  params: PyTree,
  carry: Reading,
  keys: Key[Array, "batch"],
  first: Int[Array, ""],
  last: Int[Array, ""],
  *,
  pattern: Observed | None = None,
  given: Labels = None,
  state: PyTree,
  options: SampleOptions,
) -> Reading:
  """See `Chain.moves`."""
  sampler = Sampler(spec, params, keys, given, options)

  def move(step: Array, reading: Reading) -> Reading:
    number, calls = jnp.divmod(step, spec.block_length)
    block = sampler.call(reading.clean, sampler.block(reading.tokens, number), number, step)
    after = sampler.with_block(reading, block, number)
    finish = partial(sampler.finish, number=number)
    return jax.lax.cond(calls == spec.block_length - 1, finish, lambda reading: reading, after)

  return jax.lax.fori_loop(first, last, move, carry)


def _shown(carry: Reading) -> Int[Array, "batch length"]:
  """See `Chain.shown`."""
  return carry.tokens[:, 1:]
