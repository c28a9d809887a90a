"""P(x) of tiny flows of categories, by integers: networks say the parameters, everything else is written here."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from catgen.flows.layers.alternating import Alternating
from catgen.flows.layers.autoregressive import Autoregressive
from catgen.flows.layers.categories import SortingTransform
from catgen.flows.layers.denoising import DenoisingChannels
from catgen.flows.layers.rearrangement import Rotation
from catgen.networks.conditions import Conditions
from tests.contracts import exact

DIAGONAL = (0, 3, 1, 2)  # the pixels of a block of 2 x 2, as one place with four categories


def probabilities(density, num_classes: int, event_shape: tuple[int, ...], label: int | None = None) -> np.ndarray:
  """Returns the probability of every event, given a label or nothing, by a density of one level.

  Its base are independent categories.
  """
  x = exact.events(num_classes, math.prod(event_shape)).reshape(-1, *event_shape, 1)
  for layer in reversed(list(density.levels[0].layers)):
    x = _towards_base(layer, x, num_classes, label)
  logits = density.priors[0].scale * np.asarray(density.priors[0].logits[...], np.float64)
  log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
  nats = np.take_along_axis(log_p[None], x[..., None], -1)
  return np.exp(nats.reshape(len(x), -1).sum(-1))


def _towards_base(layer, x, num_classes, label):
  """Returns what a layer makes of categories [events, *axes, C]."""
  if isinstance(layer, Alternating):
    changed = np.indices(x.shape[1:-1]).sum(axis=0) % 2 == layer.parity
    whole = np.broadcast_to(changed[None, ..., None, None], (*x.shape, 1))
    read = np.concatenate([np.where(whole, 0, _one_hot(x, num_classes)), np.float32(whole)], axis=-1)
    features = _features(layer, read, label)
    return np.where(changed[None, ..., None], _transformed(layer.transform, x, features, num_classes), x)
  if isinstance(layer, Autoregressive):
    return _transformed(layer.transform, x, _features(layer, _one_hot(x, num_classes), label), num_classes)
  if isinstance(layer, DenoisingChannels):
    kept, changed = np.split(x, 2, axis=-1)
    features = _features(layer, _one_hot(kept, num_classes), label)
    return np.concatenate([kept, _transformed(layer.transform, changed, features, num_classes)], axis=-1)
  if isinstance(layer, Rotation):
    return np.roll(x, -layer.count // num_classes, axis=-1)
  if x.shape[1:] == (2, 2, 1):
    return x.reshape(-1, 1, 1, 4)[..., DIAGONAL]
  return np.flip(x, axis=tuple(range(1, x.ndim - 1)))


def _features(layer, one_hot, label):
  network = layer.conditioner
  flat = jnp.asarray(one_hot.reshape(*one_hot.shape[:-2], -1))
  told = Conditions(given=None if label is None else jnp.full((len(flat), 1), label))
  return np.asarray(jax.jit(lambda z: network(z, told))(flat))


def _transformed(transform, x, features, num_classes):
  each = features.reshape(*x.shape, -1)
  if isinstance(transform, SortingTransform):
    order = np.argsort(-each, axis=-1, kind="stable")
    for row in order.reshape(-1, num_classes):
      row[transform.num_sorted :].sort()
    return (order == x[..., None]).argmax(-1)
  shift, scales = each[..., :num_classes].argmax(-1), np.arange(num_classes)
  scale = np.ones_like(shift)
  if transform.scaled:
    scale = np.where(np.gcd(scales, num_classes) == 1, each[..., num_classes:], -np.inf).argmax(-1)
  made = (shift[..., None] + scale[..., None] * scales) % num_classes  # by what it was made of
  return (made == x[..., None]).argmax(-1)


def _one_hot(x, num_classes):
  return np.eye(num_classes, dtype=np.float32)[x]
