"""Optimizers and learning rates: Adam, AdamW, Adamax and Muon, with warm-up, decay and clipping."""

import functools
import re
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from catgen.interfaces import InputError, PyTree
from catgen.trees import path_name

NAMES = ("adamw", "adam", "adamax", "muon")
DECAYS = ("constant", "cosine", "linear", "inverse_sqrt", "exponential")

# What Muon leaves to Adam among the kernels: lookups by category or position, and the layer that makes logits.
# Looked for in a parameter's path, such as "layers/attention/output/kernel".
ADAM_PATHS = r"embed|position|(^|/)(head|logits)(/|$)"


def make_learning_rate(
  *,
  learning_rate: float,
  num_steps: int,
  warmup_steps: int = 0,
  decay: str = "constant",
  final_fraction: float = 0.0,
  decay_rate: float = 0.99,
  decay_steps: int = 0,
) -> Callable[..., Float[Array, ""]]:
  """Returns the rate of update number `step` (from 0), peak * warmup(step) * decay(step).

    warmup       = min(1, (step + 1) / warmup_steps), so that the first update already moves; 1 without warm-up
    progress p   = (step - warmup_steps) / (num_steps - warmup_steps), kept within [0, 1]
    constant     = 1
    linear       = 1 - (1 - final_fraction) p
    cosine       = final_fraction + (1 - final_fraction) (1 + cos(pi p)) / 2
    inverse_sqrt = sqrt(w / max(step + 1, w)), w = max(1, warmup_steps)
    exponential  = decay_rate^floor(step / decay_steps)

  Args:
    learning_rate: the peak, > 0.
    num_steps: updates in the whole run; where linear and cosine decay end (the last update is one short of p = 1).
    warmup_steps: in [0, num_steps].
    decay: one of `DECAYS`.
    final_fraction: in [0, 1], of the peak; for linear and cosine.
    decay_rate: in (0, 1], per `decay_steps` updates; the paper's text models use 0.99 per epoch.
    decay_steps: >= 1 for exponential: the updates of one epoch.

  Raises:
    InputError: a value is out of range.
  """
  _check(learning_rate > 0, f"learning_rate is {learning_rate}; give a positive number")
  _check(decay in DECAYS, f"decay is {decay!r}; choose one of {', '.join(DECAYS)}")
  _check(0 <= warmup_steps <= num_steps, f"warmup_steps is {warmup_steps}; choose 0 to num_steps = {num_steps}")
  _check(0 <= final_fraction <= 1, f"final_fraction is {final_fraction}; choose a fraction of the peak, 0 to 1")
  _check(0 < decay_rate <= 1, f"decay_rate is {decay_rate}; choose a number in (0, 1]")
  _check(decay != "exponential" or decay_steps > 0, "exponential decay needs decay_steps, the steps in one epoch")
  knee = max(1, warmup_steps)

  def decay_factor(step: Array) -> Array:
    progress = jnp.clip((step - warmup_steps) / max(1, num_steps - warmup_steps), 0.0, 1.0)
    match decay:
      case "linear":
        return 1 - (1 - final_fraction) * progress
      case "cosine":
        return final_fraction + (1 - final_fraction) * (1 + jnp.cos(jnp.pi * progress)) / 2
      case "inverse_sqrt":
        return jnp.sqrt(knee / jnp.maximum(step + 1, knee))
      case "exponential":
        return jnp.power(decay_rate, step // decay_steps)
    return jnp.ones(())

  def rate(step: Array | int) -> Float[Array, ""]:
    step = jnp.asarray(step)
    warmup = jnp.minimum(1.0, (step + 1) / knee)
    return jnp.asarray(learning_rate * warmup * decay_factor(step), jnp.float32)

  return rate


def make_optimizer(
  *,
  name: str,
  learning_rate: float,
  num_steps: int,
  warmup_steps: int = 0,
  decay: str = "constant",
  final_fraction: float = 0.0,
  decay_rate: float = 0.99,
  decay_steps: int = 0,
  b1: float = 0.9,
  b2: float = 0.999,
  eps: float = 1e-8,
  weight_decay: float = 0.0,
  clip_norm: float = 0.0,
  momentum: float = 0.95,
  ns_steps: int = 5,
  adam_learning_rate: float | None = None,
  adam_paths: str = ADAM_PATHS,
) -> tuple[optax.GradientTransformation, Callable[..., Float[Array, ""]]]:
  """Returns an optimizer and its learning rate as a function of the step.

  Args:
    name: one of `NAMES`. "muon" orthogonalizes the momentum of hidden kernels and gives all else to Adam (with
      Nesterov's momentum); see `muon_dimensions`.
    learning_rate, num_steps, warmup_steps, decay, final_fraction, decay_rate, decay_steps: see `make_learning_rate`.
    b1, b2, eps: of Adam, AdamW, Adamax and of Adam's part under Muon.
    weight_decay: decoupled (multiplied by the rate, not by the adaptive step), for kernels alone: never for biases,
      norms or embeddings. Under Muon it acts on the kernels that Muon updates. Adam and Adamax refuse it.
    clip_norm: largest global norm of the gradient; 0 = no clipping.
    momentum: of Muon, Nesterov's form.
    ns_steps: Newton-Schulz iterations of Muon. Five bring all but tiny singular values to between 0.7 and 1.2.
    adam_learning_rate: peak rate of Adam's part under Muon, with the same warm-up and decay; None = learning_rate.
    adam_paths: regular expression; kernels whose path it finds go to Adam instead of Muon.

  Raises:
    InputError: an unknown name, a number out of range, or weight decay where it has no decoupled form.
  """
  _check_choices(name, weight_decay, clip_norm, adam_learning_rate)
  schedule = functools.partial(
    make_learning_rate,
    num_steps=num_steps,
    warmup_steps=warmup_steps,
    decay=decay,
    final_fraction=final_fraction,
    decay_rate=decay_rate,
    decay_steps=decay_steps,
  )
  rate = schedule(learning_rate=learning_rate)
  if name == "muon":
    adam = schedule(learning_rate=learning_rate if adam_learning_rate is None else adam_learning_rate)
    update = _muon(rate, momentum, ns_steps, eps, weight_decay, adam_rate=adam, b1=b1, b2=b2, adam_paths=adam_paths)
  elif name == "adamw":
    update = optax.adamw(rate, b1, b2, eps, weight_decay=weight_decay, mask=kernel_mask)
  else:
    update = {"adam": optax.adam, "adamax": optax.adamax}[name](rate, b1, b2, eps)
  return (optax.chain(optax.clip_by_global_norm(clip_norm), update) if clip_norm else update), rate


def kernel_mask(params: PyTree) -> PyTree:
  """Returns True for every leaf called "kernel" with at least two axes, False for embeddings, norms and biases."""
  return jax.tree.map_with_path(lambda path, leaf: _is_kernel(path_name(path), leaf), params)


def muon_dimensions(params: PyTree, adam_paths: str = ADAM_PATHS) -> PyTree:
  """Returns for every leaf the axes that Muon treats as a matrix, or None where Adam updates it.

  Muon takes leaves called "kernel" whose path `adam_paths` does not find. The last two axes are (input, output);
  axes before them, as of kernels stacked by a scan over layers, are independent matrices. A kernel with a side of
  one is a vector, and Adam's.
  """

  def dimensions(path: tuple, leaf: Array) -> optax.contrib.MuonDimensionNumbers | None:
    name = path_name(path)
    if not _is_kernel(name, leaf) or min(leaf.shape[-2:]) == 1 or re.search(adam_paths, name):
      return None
    return optax.contrib.MuonDimensionNumbers(leaf.ndim - 2, leaf.ndim - 1)

  return jax.tree.map_with_path(dimensions, params)


def _muon(
  rate: Callable,
  momentum: float,
  ns_steps: int,
  eps: float,
  weight_decay: float,
  *,
  adam_rate: Callable,
  b1: float,
  b2: float,
  adam_paths: str,
) -> optax.GradientTransformation:
  return optax.contrib.muon(
    rate,
    ns_steps=ns_steps,
    beta=momentum,
    eps=eps,
    weight_decay=weight_decay,
    adam_b1=b1,
    adam_b2=b2,
    adam_learning_rate=adam_rate,
    muon_weight_dimension_numbers=lambda params: muon_dimensions(params, adam_paths),
  )


def _check_choices(name: str, weight_decay: float, clip_norm: float, adam_learning_rate: float | None) -> None:
  _check(name in NAMES, f"optimizer is {name!r}; choose one of {', '.join(NAMES)}")
  _check(weight_decay >= 0 and clip_norm >= 0, "weight_decay and clip_norm must not be negative")
  _check(weight_decay == 0 or name in ("adamw", "muon"), f"{name} takes no weight_decay; use adamw")
  _check(name == "muon" or adam_learning_rate is None, f"adam_learning_rate belongs to muon, not to {name}")


def _is_kernel(name: str, leaf: Array) -> bool:
  return name.rsplit("/", 1)[-1] == "kernel" and leaf.ndim >= 2


def _check(condition: bool, message: str) -> None:
  if not condition:
    raise InputError(message)
