"""Discrete denoising flows: categories replaced by their ranks among predictions, until a simple base explains them.

Reference: Lindt and Hoogeboom (2021), Discrete Denoising Flows (arXiv:2107.11625).
"""

from functools import partial

from flax import nnx

from catgen.events import refuse_sizes
from catgen.flows.densities.categorical_priors import Independent, Predicted, Prior
from catgen.flows.densities.discrete import DiscreteDensity
from catgen.flows.layer import Layer
from catgen.flows.layers.categories import SortingTransform
from catgen.flows.layers.chain import Chain
from catgen.flows.layers.denoising import DenoisingPositions, denoising_channels
from catgen.flows.layers.rearrangement import Rotation, check_levels, squeeze
from catgen.interfaces import EventSpec, InputError, Model
from catgen.kinds import Recipe
from catgen.models.discrete.exact import exact_flow
from catgen.networks.roles import Conditioner

_BASE_SCALE = 10.0  # of logits: what a base learns changes nothing of what layers learn, so it may be fast


def denoising_flow(
  event: EventSpec, *, conditioner: Recipe, num_layers: int = 4, num_sorted: int = 0, num_levels: int = 0
) -> Model:
  """Returns a discrete denoising flow, whose likelihood is exact and whose gradients are those of its predictions.

  Every layer sorts by predictions of a network, which is trained by their cross-entropy; the base by the likelihood.

  Args:
    event: shape and number of classes K.
    conditioner: network that predicts categories from others.
    num_layers: of the flow, or of each of its levels.
    num_sorted: how many of the most probable categories have their ranks as numbers, from 1 to K; the others follow in
      their own order; 0 = all K.
    num_levels: 0 = each layer sorts every second position given the others, in turn. Otherwise, of maps, resolutions:
      each level makes one pixel of 2 x 2, sorts half of the categories of a pixel given the others, in turn, and a
      network predicts the half that leaves from the half that goes on; after the last level all leave, each by itself.

  Raises:
    InputError: no layers, an impossible number of sorted categories, or maps that levels do not halve evenly.
  """
  refuse_sizes(event, "a denoising flow")
  k = event.num_classes
  if num_layers < 1 or num_levels < 0 or not 0 <= num_sorted <= k:
    raise InputError(
      f"num_layers is {num_layers}, num_levels {num_levels} and num_sorted {num_sorted}; they must be at least 1, at "
      f"least 0, and 1 to {k}, the number of categories, or 0 for all"
    )
  make = partial(_by_levels if num_levels else _by_positions, event, conditioner, num_layers, num_sorted or k)
  return exact_flow(event, partial(make, num_levels) if num_levels else make, guided=True)


def _by_positions(
  event: EventSpec, conditioner: Recipe, num_layers: int, num_sorted: int, rngs: nnx.Rngs
) -> DiscreteDensity:
  k = event.num_classes
  layers: list[Layer] = []
  for number in range(num_layers):
    transform = SortingTransform(k, num_sorted=num_sorted)
    network = Conditioner(conditioner, event.shape, k + 1, k, given=event.given, rngs=rngs)
    layers.append(DenoisingPositions(event.shape, (number + 1) % 2, network, transform))
  return DiscreteDensity([Chain(layers[::-1])], [Independent(event.shape, 1, k, scale=_BASE_SCALE, rngs=rngs)], [k])


def _by_levels(
  event: EventSpec, conditioner: Recipe, num_layers: int, num_sorted: int, num_levels: int, rngs: nnx.Rngs
) -> DiscreteDensity:
  check_levels(event.shape, num_levels, key="config.model.num_levels")
  k, shape, count = event.num_classes, event.shape, 1
  levels: list[Chain] = []
  priors: list[Prior] = []
  leaving: list[int] = []
  for level in range(num_levels):
    # the first half of the four categories of a pixel is the diagonal: no two of them are neighbors
    layers: list[Layer] = [squeeze(shape, diagonal=True)]
    shape, count = tuple(size // 2 for size in shape), 4 * count
    network = partial(Conditioner, conditioner, shape, given=event.given, rngs=rngs)
    for number in range(num_layers):
      layers += [Rotation(count // 4 * k)] if number else []
      layers.append(denoising_channels(k, count, num_sorted, network))
    levels.append(Chain(layers[::-1]))
    last = level == num_levels - 1
    leaving.append((count if last else count // 2) * k)
    if last:
      priors.append(Independent(shape, count, k, scale=_BASE_SCALE, rngs=rngs))
    else:
      half = count // 2 * k
      priors.append(Predicted(network(num_channels=half, num_outputs=half), k))
      count //= 2
  return DiscreteDensity(levels, priors, leaving)
