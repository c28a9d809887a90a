"""Samples and completions whose states can be watched on their way from noise, and which can be left at any of them.

What is drawn is what `samples.generate` and `infilling.infill_each` draw by the same keys.
"""

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, Key

from catgen import meshes
from catgen.chains import Chain, Observed
from catgen.evaluation import infilling, samples
from catgen.evaluation.spread import ALONE, Spread, fetch
from catgen.interfaces import InputError, Model, PyTree, SampleOptions


class Watched(NamedTuple):
  """A state on the way, or the end of it."""

  x: Int[np.ndarray, "batch *event"]  # K and above where nothing is drawn yet
  valid: Bool[np.ndarray, "batch *event"]  # False where a code means no category; on the way all are True
  moves: int  # that are done
  num_moves: int  # of all; where moves == num_moves these are the samples


def watch(
  model: Model,
  params: PyTree,
  state: PyTree,
  keys: Key[Array, "batch"],
  *,
  pattern: infilling.Pattern | None = None,
  given: Int[np.ndarray, "batch attributes"] | None = None,
  options: SampleOptions = samples.DEFAULT_OPTIONS,
  num_states: int = 24,
  spread: Spread = ALONE,
) -> Iterator[Watched]:
  """Yields states of the sampler, noise first, samples last; between two of them the devices do what is asked of them.

  A model without a chain, and an order of drawing, give the samples alone, as one move.

  Args:
    model, params, state: what to draw from.
    keys: one for each example, spread over the devices: a number of them that `Spread.filled` returns.
    pattern: of each example, what is completed; None: nothing is given of it.
    given: labels of each example; None: nothing is given.
    options: see `SampleOptions`; `num_frames` must be 0.
    num_states: at most so many, at least 2, evenly spaced.
    spread: the devices that share the examples.

  Raises:
    InputError: an option that the model cannot honor, or a pattern that it cannot complete.
  """
  if num_states < 2:
    raise InputError(f"num_states is {num_states}; give at least 2, noise and samples")
  if pattern is not None:
    infilling.check_patterns(model, pattern.x, pattern.observed)
  put = None if pattern is None else spread.put(_known(pattern))
  labels = spread.put(given)
  if model.chain is None or options.order is not None:
    yield _at_once(model, params, state, keys, put, labels, options, spread)
    return
  num_moves = model.chain.num_moves(options)
  start, go_on = _compiled(model, options, spread)
  carry = start(params, keys, put, labels, state)
  places = np.unique(np.round(np.linspace(0, num_moves, num_states)).astype(np.int32))
  yield _shown(model.chain, carry, 0, num_moves)
  for first, last in itertools.pairwise(places):
    carry = go_on(params, carry, keys, first, last, put, labels, state)
    yield _shown(model.chain, carry, int(last), num_moves)


def _known(pattern: infilling.Pattern) -> Observed:
  return Observed(jnp.asarray(np.where(pattern.observed, pattern.x, 0), jnp.int32), jnp.asarray(pattern.observed))


def _at_once(
  model: Model,
  params: PyTree,
  state: PyTree,
  keys: Array,
  pattern: Observed | None,
  given: Any,
  options: SampleOptions,
  spread: Spread,
) -> Watched:
  if pattern is None:
    drawn = fetch(samples.compiled(model, options, spread)(params, keys, given, state))
  else:
    drawn = fetch(infilling.compiled(model, options, spread)(params, *pattern, keys, given, state))
  return Watched(drawn.x, drawn.valid, 1, 1)


def _shown(chain: Chain, carry: PyTree, moves: int, num_moves: int) -> Watched:
  x = np.asarray(fetch(chain.shown(carry)))
  return Watched(x, np.ones(x.shape, bool), moves, num_moves)


@functools.lru_cache(maxsize=16)
def _compiled(model: Model, options: SampleOptions, spread: Spread) -> tuple[Callable[..., Any], Callable[..., Any]]:
  """Returns the start of a chain and its moves, compiled, remembered: two programs, however the moves are cut."""
  chain = model.chain
  assert chain is not None

  def start(params: PyTree, keys: Array, pattern: Observed | None, given: Array | None, state: PyTree) -> PyTree:
    keys, pattern, given = meshes.spread((keys, pattern, given))
    return chain.start(params, keys, pattern=pattern, given=given, state=state, options=options)

  def go_on(
    params: PyTree,
    carry: PyTree,
    keys: Array,
    first: Array,
    last: Array,
    pattern: Observed | None,
    given: Array | None,
    state: PyTree,
  ) -> PyTree:
    keys, pattern, given = meshes.spread((keys, pattern, given))
    return chain.moves(params, carry, keys, first, last, pattern=pattern, given=given, state=state, options=options)

  return spread.compiled(start), spread.compiled(go_on)
