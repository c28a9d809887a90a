"""Optimizers: Adam, RAdam, AdamW, Adamax, Muon and gradient descent, with a learning rate and clipping.

Each is a function of the number of updates in the run to an optimizer and its learning rate by step.
"""

import functools
import math
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from catgen.interfaces import InputError, PyTree
from catgen.kinds import Kind, Kinds, Registry
from catgen.meshes import several_devices
from catgen.training.learning_rate import DECAYS, Factor, make_learning_rate
from catgen.training.orthogonal import orthogonalized
from catgen.trees import path_name

Rate = Callable[..., Float[Array, ""]]
Optimizer = tuple[optax.GradientTransformation, Rate]
Decay = Callable[[int, int], Factor]
_COSINE = DECAYS["cosine"]()
_SMALLEST_EPS = float(jnp.finfo(jnp.float32).tiny)

# What Muon leaves to Adam among the kernels: lookups by category or position, the layer that makes logits, and the
# modulation of the norm before it. Heads of conditioners, within flows, are hidden layers.
# Looked for in a parameter's path, such as "layers/attention/output/kernel".
ADAM_PATHS = r"embed|position|(^|/)logits(/|$)|^(stack/)?(trunk/)?head(/|$)|^stack/trunk/norm/"


def adam(
  num_steps: int,
  /,
  *,
  learning_rate: float = 3e-4,
  warmup_steps: int = 0,
  decay: Decay = _COSINE,
  b1: float = 0.9,
  b2: float = 0.999,
  eps: float = 1e-8,
  clip_norm: float = 0.0,
) -> Optimizer:
  """Returns Adam without weight decay.

  Args:
    learning_rate: the peak, > 0.
    warmup_steps: updates in which the rate rises to its peak; 0 = none.
    decay: of the rate after the warm-up.
    b1: decay of the average of gradients, in [0, 1).
    b2: likewise of the average of their squares.
    eps: added to the root of that average, > 0.
    clip_norm: largest global norm of the gradient; 0 = no clipping.

  Raises:
    InputError: a number is out of range.

  Reference: Kingma and Ba (2015).
  """
  _check_averages(eps, b1=b1, b2=b2)
  rate = make_learning_rate(num_steps, learning_rate=learning_rate, warmup_steps=warmup_steps, decay=decay)
  return _clipped(optax.adam(rate, b1, b2, eps), clip_norm), rate


def radam(
  num_steps: int,
  /,
  *,
  learning_rate: float = 3e-4,
  warmup_steps: int = 0,
  decay: Decay = _COSINE,
  b1: float = 0.9,
  b2: float = 0.999,
  eps: float = 1e-8,
  clip_norm: float = 0.0,
) -> Optimizer:
  """Returns rectified Adam, which needs no warm-up: it begins as gradient descent with momentum.

  From the sixth update on, when five of them count in the average of squares, steps are Adam's, shorter at first by the
  variance of that average.

  Args:
    learning_rate: the peak, > 0.
    warmup_steps: updates in which the rate rises to its peak; 0 = none.
    decay: of the rate after the warm-up.
    b1: decay of the average of gradients, in [0, 1).
    b2: likewise of the average of their squares.
    eps: added to the root of that average, > 0.
    clip_norm: largest global norm of the gradient; 0 = no clipping.

  Raises:
    InputError: a number is out of range.

  Reference: Liu et al. (2020).
  """
  _check_averages(eps, b1=b1, b2=b2)
  rate = make_learning_rate(num_steps, learning_rate=learning_rate, warmup_steps=warmup_steps, decay=decay)
  return _clipped(optax.radam(rate, b1, b2, eps), clip_norm), rate


def adamax(
  num_steps: int,
  /,
  *,
  learning_rate: float = 3e-4,
  warmup_steps: int = 0,
  decay: Decay = _COSINE,
  b1: float = 0.9,
  b2: float = 0.999,
  eps: float = 1e-8,
  clip_norm: float = 0.0,
) -> Optimizer:
  """Returns Adamax: Adam with the largest gradient seen, slowly forgotten, in place of the root of mean squares.

  Args:
    learning_rate: the peak, > 0.
    warmup_steps: updates in which the rate rises to its peak; 0 = none.
    decay: of the rate after the warm-up.
    b1: decay of the average of gradients, in [0, 1).
    b2: likewise of the largest of their sizes.
    eps: added to that size, > 0.
    clip_norm: largest global norm of the gradient; 0 = no clipping.

  Raises:
    InputError: a number is out of range.

  Reference: Kingma and Ba (2015), section 7.
  """
  _check_averages(eps, b1=b1, b2=b2)
  rate = make_learning_rate(num_steps, learning_rate=learning_rate, warmup_steps=warmup_steps, decay=decay)
  return _clipped(optax.adamax(rate, b1, b2, eps), clip_norm), rate


def adamw(
  num_steps: int,
  /,
  *,
  learning_rate: float = 3e-4,
  warmup_steps: int = 0,
  decay: Decay = _COSINE,
  b1: float = 0.9,
  b2: float = 0.999,
  eps: float = 1e-8,
  weight_decay: float = 0.0,
  clip_norm: float = 0.0,
) -> Optimizer:
  """Returns Adam with decoupled weight decay.

  Args:
    learning_rate: the peak, > 0.
    warmup_steps: updates in which the rate rises to its peak; 0 = none.
    decay: of the rate after the warm-up.
    b1: decay of the average of gradients, in [0, 1).
    b2: likewise of the average of their squares.
    eps: added to the root of that average, > 0.
    weight_decay: multiplied by the rate, not by the adaptive step; for kernels alone, never for biases, norms or
      embeddings.
    clip_norm: largest global norm of the gradient; 0 = no clipping.

  Raises:
    InputError: a number is out of range.

  Reference: Loshchilov and Hutter (2019).
  """
  _check(0 <= weight_decay < math.inf, f"weight_decay is {weight_decay}; it must be finite and not negative")
  _check_averages(eps, b1=b1, b2=b2)
  rate = make_learning_rate(num_steps, learning_rate=learning_rate, warmup_steps=warmup_steps, decay=decay)
  return _clipped(optax.adamw(rate, b1, b2, eps, weight_decay=weight_decay, mask=kernel_mask), clip_norm), rate


def sgd(
  num_steps: int,
  /,
  *,
  learning_rate: float = 1e-2,
  momentum: float = 0.9,
  warmup_steps: int = 0,
  decay: Decay = _COSINE,
  clip_norm: float = 0.0,
) -> Optimizer:
  """Returns gradient descent with momentum: the change is the rate times the sum of gradients, forgotten slowly.

  Args:
    learning_rate: the peak, > 0.
    momentum: what is kept of the sum at each update, in [0, 1).
    warmup_steps: updates in which the rate rises to its peak; 0 = none.
    decay: of the rate after the warm-up.
    clip_norm: largest global norm of the gradient; 0 = no clipping.

  Raises:
    InputError: a number is out of range.

  Reference: Polyak (1964).
  """
  _check_averages(momentum=momentum)
  rate = make_learning_rate(num_steps, learning_rate=learning_rate, warmup_steps=warmup_steps, decay=decay)
  return _clipped(optax.sgd(rate, momentum), clip_norm), rate


def muon(
  num_steps: int,
  /,
  *,
  learning_rate: float = 1e-2,
  adam_learning_rate: float = 2e-3,
  warmup_steps: int = 0,
  decay: Decay = _COSINE,
  momentum: float = 0.95,
  ns_steps: int = 5,
  b1: float = 0.9,
  b2: float = 0.999,
  eps: float = 1e-8,
  weight_decay: float = 0.0,
  clip_norm: float = 0.0,
  adam_paths: str = ADAM_PATHS,
) -> Optimizer:
  """Returns Muon, which orthogonalizes the momentum of hidden kernels, with Adam for all else; see `muon_dimensions`.

  Args:
    learning_rate: the peak of Muon's rate, > 0; that of Adam's part is `adam_learning_rate`.
    adam_learning_rate: the peak of the rate of Adam's part, with the same warm-up and decay.
    warmup_steps: updates in which the rates rise to their peaks; 0 = none.
    decay: of the rates after the warm-up.
    momentum: of Muon, in Nesterov's form, in [0, 1).
    ns_steps: Newton-Schulz iterations, >= 0; five bring all but tiny singular values to between 0.68 and 1.21.
    b1: of Adam's part (with Nesterov's momentum): decay of the average of gradients, in [0, 1).
    b2: of Adam's part: likewise of the average of their squares.
    eps: of Adam's part: added to the root of that average, and of Muon: to the norm that it divides by; > 0.
    weight_decay: decoupled, for the kernels that Muon updates alone.
    clip_norm: largest global norm of the gradient; 0 = no clipping.
    adam_paths: regular expression; kernels whose path it finds go to Adam.

  Raises:
    InputError: a number is out of range.

  Reference: Jordan et al. (2024), https://kellerjordan.github.io/posts/muon.
  """
  _check(0 <= weight_decay < math.inf, f"weight_decay is {weight_decay}; it must be finite and not negative")
  _check_averages(eps, b1=b1, b2=b2, momentum=momentum)
  _check(ns_steps >= 0, f"ns_steps is {ns_steps}; it must not be negative")
  rate, adam_rate = (
    make_learning_rate(num_steps, learning_rate=peak, warmup_steps=warmup_steps, decay=decay)
    for peak in (learning_rate, adam_learning_rate)
  )
  dimensions = functools.partial(muon_dimensions, adam_paths=adam_paths)
  by_muon = optax.chain(
    _orthogonalized_momentum(ns_steps, momentum, eps, dimensions),
    optax.stateless(lambda updates, _: jax.tree.map(_scaled_by_shape, updates)),
    optax.add_decayed_weights(weight_decay),
    optax.scale_by_learning_rate(rate),
  )
  by_adam = optax.adamw(adam_rate, b1, b2, eps, weight_decay=0.0, nesterov=True)

  def labels(params: PyTree) -> PyTree:
    chosen = jax.tree.leaves(dimensions(params), is_leaf=lambda x: x is None or _is_matrix(x))
    return jax.tree.unflatten(jax.tree.structure(params), ["muon" if each else "adam" for each in chosen])

  return _clipped(optax.partition({"muon": by_muon, "adam": by_adam}, labels), clip_norm), rate


def _orthogonalized_momentum(
  num_steps: int, momentum: float, eps: float, dimensions: Callable[[PyTree], PyTree]
) -> optax.GradientTransformation:
  """Returns `optax.contrib.scale_by_muon`; on several devices each matrix is orthogonalized on one of them."""
  make = functools.partial(optax.contrib.scale_by_muon, beta=momentum, eps=eps, weight_dimension_numbers=dimensions)
  alone, normalized = make(ns_steps=num_steps), make(ns_steps=0)  # the latter divides the momentum by its norm

  def update(grads: PyTree, state: Any, params: PyTree | None = None) -> tuple[PyTree, Any]:
    if not several_devices():
      return alone.update(grads, state, params)
    matrices, state = normalized.update(grads, state, params)
    leaves, tree = jax.tree.flatten(matrices)
    return jax.tree.unflatten(tree, orthogonalized(leaves, state.ns_coeffs, num_steps)), state

  return optax.GradientTransformation(alone.init, update)


def _scaled_by_shape(update: Array) -> Array:
  """Returns the update of kernels [*others, inputs, outputs] times the root of outputs / inputs, if that is above 1."""
  return update * max(1.0, update.shape[-1] / update.shape[-2]) ** 0.5


def _is_matrix(found: Any) -> bool:
  return isinstance(found, optax.contrib.MuonDimensionNumbers)


_DECAY = {"decay": DECAYS}
OPTIMIZERS: Registry = Kinds() | {
  "adam": Kind(adam, parts=_DECAY),
  "radam": Kind(radam, parts=_DECAY),
  "adamw": Kind(adamw, parts=_DECAY),
  "adamax": Kind(adamax, parts=_DECAY),
  "muon": Kind(muon, parts=_DECAY),
  "sgd": Kind(sgd, parts=_DECAY),
}


def kernel_mask(params: PyTree) -> PyTree:
  """Returns True for every leaf called "kernel" with two axes or more, False for embeddings, norms and biases.

  Such a leaf is [*others, inputs, outputs].
  """
  return jax.tree.map_with_path(lambda path, leaf: _is_kernel(path_name(path), leaf), params)


def muon_dimensions(params: PyTree, adam_paths: str = ADAM_PATHS) -> PyTree:
  """Returns for every leaf the axes that Muon treats as a matrix, or None where Adam updates it.

  Muon takes leaves called "kernel" whose path `adam_paths` does not find. They are [*others, inputs, outputs];
  the axes before the last two, as of kernels stacked by a scan over layers, are independent matrices. A kernel with
  a side of one is a vector, and Adam's.
  """

  def dimensions(path: tuple, leaf: Array) -> optax.contrib.MuonDimensionNumbers | None:
    name = path_name(path)
    if not _is_kernel(name, leaf) or min(leaf.shape[-2:]) == 1 or re.search(adam_paths, name):
      return None
    return optax.contrib.MuonDimensionNumbers(leaf.ndim - 2, leaf.ndim - 1)

  return jax.tree.map_with_path(dimensions, params)


def _clipped(update: optax.GradientTransformation, clip_norm: float) -> optax.GradientTransformation:
  """Returns an optimizer whose state is the same with and without clipping, so that a run may change it."""
  _check(clip_norm >= 0, f"clip_norm is {clip_norm}; it must not be negative")
  if not clip_norm:
    return update
  clip = optax.clip_by_global_norm(clip_norm)

  def clipped(grads: PyTree, state: PyTree, params: PyTree | None = None) -> tuple[PyTree, PyTree]:
    return update.update(clip.update(grads, clip.init(params))[0], state, params)

  return optax.GradientTransformation(update.init, clipped)


def _check_averages(eps: float = 1.0, **decays: float) -> None:
  """Refuses a decay by which an average would grow without end, and an eps that float32 has not, or takes for 0.

  A parameter that no gradient has reached yet, such as the row of a category that no batch had, would change by 0 / 0.
  """
  for name, decay in decays.items():
    _check(0 <= decay < 1, f"{name} is {decay}; it must be at least 0 and below 1")
  _check(
    _SMALLEST_EPS <= eps < math.inf,
    f"eps is {eps}; it must be at least {_SMALLEST_EPS:.3g}, or what no gradient reaches would become NaN",
  )


def _is_kernel(name: str, leaf: Array) -> bool:
  return name.rsplit("/", 1)[-1] == "kernel" and leaf.ndim >= 2


def _check(condition: bool, message: str) -> None:
  if not condition:
    raise InputError(message)
