"""The noisy channel: what was meant, by a model that is read position by position and a typist who errs at some rate.

With p(x) of the model and q(seen | x) of the typist, who leaves each position as it is with probability 1 - e and
writes each other category with e / (K - 1), apart from all other positions,

  p(x | seen) = p(x) q(seen | x) / p(seen).

A beam goes over the positions: of all beginnings it keeps the `width` ones that have the most p q, goes on from each
by every category, and keeps the best again. At the end it holds so many different x. Where it can hold all there are,
what it says is Bayes' rule itself; a narrower one leaves probability out and never has more than there is.

References: Shannon (1948), A mathematical theory of communication; Kernighan, Church and Gale (1990), A spelling
correction program based on a noisy channel model.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from catgen import meshes
from catgen.interfaces import Batch, EventSpec, Model, PyTree


class Meant(NamedTuple):
  """The most probable examples of a beam, and what is known of them."""

  x: Int[Array, "batch *event"]  # as seen where invalid, or where nothing can have led to what was seen
  # share of the beam's mass that has this category here; 1 where invalid, 0 where nothing can have led to what was seen
  probability: Float[Array, "batch *event"]
  log_seen: Float[Array, "batch"]  # log of the beam's mass, in nats: at most log p(seen)


class _Beam(NamedTuple):
  """Beginnings of examples, and what the model keeps of them."""

  reading: PyTree  # of [batch * width, ...]
  x: Int[Array, "batch width positions"]  # as seen where not reached
  log_share: Float[Array, "batch width"]  # of the mass of the beam; -inf: no beginning
  log_mass: Float[Array, "batch"]


def meant(
  model: Model, params: PyTree, state: PyTree, seen: Batch, error_rate: Float[Array, ""] | float, *, width: int
) -> Meant:
  """Returns what was most probably meant by what is seen, by a beam; a pure function, for `jax.jit`.

  The network is called once for each position up to the last valid one of the batch, with batch * width examples.

  Args:
    model, params, state: a model with `sequential`.
    seen: categories everywhere, also where invalid; its labels, if any, are given.
    error_rate: e, in [0, 1). A column of a table has its own K, and with one category no errors.
    width: how many beginnings are kept, at least 1.
  """
  sequential = model.sequential
  assert sequential is not None
  shape, size = seen.x.shape, math.prod(model.event.shape)
  x, valid = meshes.spread(tuple(jnp.asarray(each).reshape(-1, size) for each in (seen.x, seen.valid)))
  log_typing = _typist(model.event, error_rate)

  def read(position: Array, beam: _Beam) -> _Beam:
    log_p, reading = sequential.log_probs(params, beam.reading, position)
    log_q = log_typing(position, x[:, position])
    scores = beam.log_share[..., None] + log_p.reshape(len(x), width, -1) + log_q[:, None]
    best, place = meshes.by_device(functools.partial(jax.lax.top_k, k=width), scores.reshape(len(x), -1))
    there, num_classes = valid[:, position, None], scores.shape[-1]
    parent = jnp.where(there, place // num_classes, jnp.arange(width)[None])
    category = jnp.where(there, place % num_classes, x[:, position, None]).astype(x.dtype)
    log_share, log_mass = _normalized(jnp.where(there, best, beam.log_share))
    kept, said = _of_parents((reading, beam.x.reshape(-1, size)), parent)
    said = said.reshape(beam.x.shape).at[:, :, position].set(category)
    return _Beam(sequential.observe(kept, position, category.reshape(-1)), said, log_share, beam.log_mass + log_mass)

  rows_valid, rows_given = jax.tree.map(lambda each: jnp.repeat(each, width, axis=0), (seen.valid, seen.given))
  start = _Beam(
    sequential.start(params, rows_valid, given=rows_given, state=state),
    jnp.broadcast_to(x[:, None], (len(x), width, size)),
    jnp.broadcast_to(jnp.where(jnp.arange(width) == 0, 0.0, -jnp.inf)[None], (len(x), width)),
    jnp.zeros(len(x)),
  )
  stop = (valid * (1 + jnp.arange(size))[None]).max(initial=0)
  beam = jax.lax.fori_loop(0, stop, read, start)
  best, share = _of_best(beam)
  told, probability = valid & jnp.isfinite(beam.log_mass)[:, None], jnp.where(valid, share, 1.0)
  return Meant(jnp.where(told, best, x).reshape(shape), probability.reshape(shape), beam.log_mass)


def _typist(event: EventSpec, error_rate: Array | float) -> Callable[[Array, Int[Array, "batch"]], Array]:
  """Returns (position, what is seen there) -> log q(seen | x) for each category x, [batch, classes], in nats.

  Categories that a column lacks have no probability by the model.
  """
  error, categories = jnp.asarray(error_rate, jnp.float32), jnp.arange(event.num_classes)[None]
  sizes = jnp.asarray(event.sizes or (event.num_classes,) * math.prod(event.shape), jnp.int32)

  def log_typing(position: Array, own: Int[Array, "batch"]) -> Float[Array, "batch classes"]:
    size = sizes[position]
    wrong = jnp.where(size > 1, jnp.log(error) - jnp.log(size - 1), -jnp.inf)
    right = jnp.where(size > 1, jnp.log1p(-error), 0.0)
    return jnp.where(categories == own[:, None], right, wrong)

  return log_typing


def _of_parents(tree: PyTree, parent: Int[Array, "batch width"]) -> PyTree:
  """Returns arrays [batch * width, ...] in which each beginning has what its parent had; those of [1, ...] stay."""

  def moved(kept: Array) -> Array:
    if len(kept) == 1:
      return kept
    rows = kept.reshape(*parent.shape, *kept.shape[1:])
    return jax.vmap(lambda own, order: own.at[order].get(mode="promise_in_bounds"))(rows, parent).reshape(kept.shape)

  return jax.tree.map(moved, tree)


def _normalized(log_weight: Float[Array, "batch width"]) -> tuple[Float[Array, "batch width"], Float[Array, "batch"]]:
  """Returns the logarithms of shares and of the sum; where all weights are 0 the shares are too."""
  log_sum = jax.nn.logsumexp(log_weight, axis=-1)
  return log_weight - jnp.where(jnp.isfinite(log_sum), log_sum, 0.0)[:, None], log_sum


def _of_best(beam: _Beam) -> tuple[Int[Array, "batch positions"], Float[Array, "batch positions"]]:
  """Returns the most probable member, and the share of the beam that agrees with it at each position."""
  best = beam.log_share.argmax(axis=-1)[:, None, None]
  chosen = jnp.take_along_axis(beam.x, best, axis=1)[:, 0]
  agree = (beam.x == chosen[:, None]) * jnp.exp(beam.log_share)[..., None]
  return chosen, agree.sum(axis=1)
