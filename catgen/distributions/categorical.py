"""The categorical distribution over K classes, given by unnormalized logits in the last axis."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from catgen.interfaces import InputError, SampleOptions
from catgen.meshes import map_examples, per_device

PIECE = 2**24  # numbers of an array over classes that are worked on at a time: 64 MiB
WIDE = 1024  # classes up to which each has noise of its own in a draw
_UNRESTRICTED = SampleOptions()
_ASKED = {"num_frames": "a chain (num_frames)"}  # how an option is called that most ask for by another name
_RESTRICTIONS = ("temperature", "top_k", "top_p", "forbid")
GUIDANCE = ("guidance", "guidance_interval")
_GREEDY_BELOW = float(np.finfo(np.float32).tiny)  # a smaller temperature would be flushed to zero


def log_prob(logits: Float[Array, "*batch classes"], value: Int[Array, "*batch"]) -> Float[Array, "*batch"]:
  """Returns log p(value) in nats, logits[value] - logsumexp(logits).

  Values outside [0, K) are not checked: as everywhere in JAX they read a clamped entry.

  Example:
    >>> float(log_prob(jnp.zeros(4), jnp.array(1)))  # -ln 4
    -1.3862943649291992
  """
  return take(logits, value) - jax.nn.logsumexp(logits, axis=-1)


def take(values: Float[Array, "*batch classes"], index: Int[Array, "*batch"]) -> Float[Array, "*batch"]:
  """Returns values[..., index]: what a product with a one-hot vector would, without the vector."""
  return jnp.take_along_axis(values, index[..., None], axis=-1)[..., 0]


def indicator(index: Int[Array, "*batch"], num_classes: int) -> Bool[Array, "*batch classes"]:
  """Returns whether each class is the one at `index`, for elementwise selection (compilers fuse it away)."""
  return jax.nn.one_hot(index, num_classes, dtype=bool)


def entropy(logits: Float[Array, "*batch classes"]) -> Float[Array, "*batch"]:
  """Returns -sum_k p_k log p_k in nats; classes of probability 0 (logit -inf) contribute 0, gradients included."""
  log_probs = jax.nn.log_softmax(logits)
  possible = log_probs > -jnp.inf
  return -jnp.sum(jnp.exp(log_probs) * jnp.where(possible, log_probs, 0.0), axis=-1)


def kl(logits: Float[Array, "*batch classes"], other: Float[Array, "*batch classes"]) -> Float[Array, "*batch"]:
  """Returns KL(p || p_other) = sum_k p_k log(p_k / p_other_k) in nats, summed over classes only.

  Numerics: classes with p_k = 0 contribute 0; a class with p_k > 0 = p_other_k gives inf. Rounding can make a value of
  order 1e-7 negative, since the terms cancel.
  """
  log_p, log_q = jax.nn.log_softmax(logits), jax.nn.log_softmax(other)
  possible = log_p > -jnp.inf
  difference = jnp.where(possible, log_p - jnp.where(possible, log_q, 0.0), 0.0)
  return jnp.sum(jnp.exp(log_p) * difference, axis=-1)


def sample(key: Key[Array, ""], logits: Float[Array, "*batch classes"]) -> Int[Array, "*batch"]:
  """Draws classes with probabilities softmax(logits), by Gumbel-max.

  Numerics: the noise is drawn in JAX's high-precision mode. The default mode takes 23-bit uniforms, whose largest
  Gumbel is about 16, so that classes rarer than about 1e-7 would be drawn too rarely.

  Noise for each class is what a draw costs. So of more than `WIDE` classes a block of about the root of their number is
  drawn first, by its sum, and then one of its classes: the same law from two draws of so few.
  """
  num_classes = logits.shape[-1]
  if num_classes <= WIDE:
    return jax.random.categorical(key, logits, mode="high")
  size, (first, second) = math.isqrt(num_classes - 1) + 1, jax.random.split(key)
  absent = [(0, 0)] * (logits.ndim - 1) + [(0, -num_classes % size)]
  blocks = jnp.pad(logits, absent, constant_values=-jnp.inf).reshape(*logits.shape[:-1], -1, size)
  block = jax.random.categorical(first, jax.nn.logsumexp(blocks, axis=-1), mode="high")
  chosen = block[..., None] * size + jnp.arange(size).reshape((1,) * block.ndim + (size,))
  own = jnp.take_along_axis(logits, jnp.minimum(chosen, num_classes - 1), axis=-1)
  own = jnp.where(chosen < num_classes, own, -jnp.inf)
  return block * size + jax.random.categorical(second, own, mode="high")


def sample_each(keys: Key[Array, "batch"], logits: Float[Array, "batch *event classes"]) -> Int[Array, "batch *event"]:
  """Draws like `sample`, each example by its own key: what surrounds an example in a batch does not change it.

  Noise takes several times the memory of the logits; where these are more than `PIECE` numbers on a device, its
  examples are drawn one after the other, with the same results.
  """
  if per_device(len(keys)) * math.prod(logits.shape[1:]) > PIECE:
    return map_examples(sample, keys, logits)
  return jax.vmap(sample)(keys, logits)


def num_pieces(batch_size: int, num_positions: int, num_classes: int) -> int:
  """Returns into how many pieces positions are cut, so that an array over classes has at most `PIECE` a device.

  Example:
    >>> num_pieces(32, 256, 27), num_pieces(16, 128, 50_257)
    (1, 8)
  """
  batch_size = per_device(batch_size)
  divisors = (n for n in range(1, num_positions + 1) if num_positions % n == 0)
  return next((n for n in divisors if batch_size * (num_positions // n) * num_classes <= PIECE), num_positions)


def restrict(logits: Float[Array, "*batch classes"], options: SampleOptions) -> Float[Array, "*batch classes"]:
  """Returns the logits of the categories that may be drawn, -inf for the others; by default all, as they are.

  In this order, each on what the one before has left: `forbid` takes categories out; `temperature` divides what is
  left, and 0 leaves the most probable category; `top_k` keeps so many of the most probable ones; `top_p` keeps the
  smallest number of the most probable ones whose probabilities sum up to that much. Of equal logits the category with
  the smaller number is more probable.

  Numerics: the largest logit becomes 0 before it is divided, so that any temperature gives numbers, not NaN. What
  `top_p` leaves out is summed up from the smallest probability where it is the smaller part, so that 1 - top_p has the
  digits that float32 gives a small number.

  Example:
    >>> logits = jnp.log(jnp.array([0.5, 0.3, 0.2]))
    >>> jax.nn.softmax(restrict(logits, SampleOptions(top_p=0.7, forbid=(0,)))).tolist()  # 0.6 is not enough
    [0.0, 0.6000000238418579, 0.4000000059604645]
    >>> jax.nn.softmax(restrict(logits, SampleOptions(temperature=0.0))).tolist()
    [1.0, 0.0, 0.0]
  """
  if not restricts(options):
    return logits
  num_classes = logits.shape[-1]
  if options.forbid:
    logits = logits.at[..., np.array(options.forbid)].set(-jnp.inf)
  if options.temperature < _GREEDY_BELOW:
    return jnp.where(indicator(jnp.argmax(logits, axis=-1), num_classes), 0.0, -jnp.inf)
  if options.temperature != 1:
    logits = (logits - logits.max(axis=-1, keepdims=True)) / options.temperature
  if options.top_k is None and options.top_p == 1:
    return logits
  order = jnp.argsort(-logits, axis=-1, stable=True)
  ranked = jnp.take_along_axis(logits, order, axis=-1)
  if options.top_k is not None:
    ranked = jnp.concatenate(
      [ranked[..., : options.top_k], jnp.full_like(ranked[..., options.top_k :], -jnp.inf)], axis=-1
    )
  if options.top_p < 1:
    ranked = jnp.where(_within(jax.nn.softmax(ranked, axis=-1), options.top_p), ranked, -jnp.inf)
  return jnp.take_along_axis(ranked, jnp.argsort(order, axis=-1), axis=-1)


def _within(ranked: Float[Array, "*batch classes"], top_p: float) -> Bool[Array, "*batch classes"]:
  """Returns which of probabilities in falling order it takes until they sum up to `top_p`."""
  last = ranked.ndim - 1
  if top_p > 0.5:
    return jax.lax.cumsum(ranked, last, reverse=True) > 1 - top_p
  summed = jax.lax.cumsum(ranked, last)
  return jnp.concatenate([jnp.zeros_like(summed[..., :1]), summed[..., :-1]], axis=-1) < top_p


def guided(
  log_given: Float[Array, "*batch classes"],
  log_not_given: Float[Array, "*batch classes"],
  guidance: Float[Array, "#*batch 1"] | float,
) -> Float[Array, "*batch classes"]:
  """Returns log of p(x | y)^guidance p(x)^(1 - guidance) / Z, of log-probabilities given labels y and without them.

  By Bayes it is p(x) p(y | x)^guidance / Z: of a single category exactly that, and for guidance 1 the conditional
  distribution itself. Of several positions, drawn one after the other or together from such factors, the law is neither
  unless guidance is 0 or 1, and depends on their order.

  Reference: Ho & Salimans, arXiv:2207.12598; for categories Schiff et al., arXiv:2412.10193, who guide the posterior of
  the next state where it is guided here in the clean category, which leaves a single position its law at any number of
  steps.

  Example:
    >>> jnp.exp(guided(jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.2, 0.8])), 2.0)).round(3).tolist()
    [0.800000011920929, 0.20000000298023224]
  """
  both = guidance * log_given + (1 - guidance) * log_not_given
  return jax.nn.log_softmax(jnp.where(jnp.isneginf(log_given), -jnp.inf, both))  # a category that there is not stays so


def restricts(options: SampleOptions) -> bool:
  """Returns whether the options change the distribution of a draw."""
  return any(getattr(options, name) != getattr(_UNRESTRICTED, name) for name in _RESTRICTIONS)


def check_restrictions(options: SampleOptions, num_classes: int) -> None:
  """Raises InputError where an option of `restrict` is out of range, or leaves nothing of `num_classes` categories."""
  if not 0 <= options.temperature < math.inf:
    raise InputError(f"temperature is {options.temperature}; it must be positive, or 0 for the most probable category")
  if options.top_k is not None and not 1 <= options.top_k <= num_classes:
    raise InputError(f"top_k is {options.top_k}; give 1 to {num_classes}, the number of categories")
  if not 0 < options.top_p <= 1:
    raise InputError(f"top_p is {options.top_p}; give a probability above 0, up to 1")
  unknown = [category for category in options.forbid if not 0 <= category < num_classes]
  if unknown:
    raise InputError(f"forbid names category {unknown[0]}; the categories are 0 to {num_classes - 1}")
  if len(set(options.forbid)) == num_classes:
    raise InputError(f"forbid names all {num_classes} categories; leave at least one")


def check_guidance(options: SampleOptions, given: Int[Array, "batch attributes"] | None) -> None:
  """Raises InputError where guidance is out of range, or asked for while nothing is given."""
  begin, end = options.guidance_interval
  if not 0 <= options.guidance < math.inf:
    raise InputError(f"guidance is {options.guidance}; it must be at least 0, and 1 takes labels as they are")
  if not 0 <= begin <= end <= 1:
    raise InputError(
      f"guidance_interval is {begin},{end}; give two times with 0 <= begin <= end <= 1, noise being at 1"
    )
  if options.guidance != 1 and given is None:
    raise InputError(f"guidance is {options.guidance}, but no label is given; give one (--given=name=value)")


def refuse_options(options: SampleOptions, names: Sequence[str], reason: str) -> None:
  """Raises InputError, for the reason, that names those of the options that are not as by default."""
  changed = [_ASKED.get(name, name) for name in names if getattr(options, name) != getattr(_UNRESTRICTED, name)]
  if changed:
    verb, them = ("does", "it") if len(changed) == 1 else ("do", "them")
    raise InputError(f"{reason}: {', '.join(changed)} {verb} not apply; leave {them} out")


def bernoulli_each(
  keys: Key[Array, "batch"], probability: Float[Array, "batch ..."], shape: tuple[int, ...]
) -> Bool[Array, "batch *event"]:
  """Draws booleans of the given event shape by one key per example (high precision).

  Each example has one success probability, or one of each position, by the same random numbers.
  """
  return jax.vmap(lambda key, p: jax.random.bernoulli(key, p, shape, mode="high"))(keys, probability)
