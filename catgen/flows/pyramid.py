"""A flow of maps from coarse to fine: every second pixel first, then those between them."""

import math
from functools import partial

from flax import nnx

from catgen.flows.actnorm import ActNorm
from catgen.flows.block_coupling import BlockCoupling
from catgen.flows.chain import Chain
from catgen.flows.multi_scale import MultiScaleDensity
from catgen.flows.squeeze import Squeeze
from catgen.kinds import Recipe


def pyramid_density(
  num_channels: int,
  event_shape: tuple[int, ...],
  *,
  conditioner: Recipe,
  rngs: nnx.Rngs,
  num_levels: int = 5,
  num_mixtures: int = 4,
  num_features: int = 64,
  hidden_width: int = 32,
  channel_features: int = 16,
) -> MultiScaleDensity:
  """Returns levels that each halve a map: of every block of 2 x 2 pixels the top left one goes on to the next level.

  Given the map of those, the bottom right pixels follow, each between four known ones; given both, the other two of a
  block, whose neighbors above, below, left and right are then all known. The channels of a pixel, and of those two
  pixels, follow one after the other. So the sampling cost is that of 2 num_levels networks and of 3 num_channels small
  ones per level, and nothing about a pixel's channels is taken to be independent. ActNorm comes before the first level.

  Args:
    num_levels: halvings; what is left after them is independent.
    num_mixtures: logistic components of every channel.
    num_features, hidden_width, channel_features: see `BlockCoupling`.

  Raises:
    InputError: no levels, or a height or width that the levels do not halve evenly.

  Reference: the order of pixels is that of Reed et al. (2017), "Parallel multiscale autoregressive density estimation".
  """
  levels, leaving, lengths = [], [], []
  layers: list[nnx.Module] = [ActNorm(num_channels)]
  for number in range(num_levels):
    layers.append(Squeeze(event_shape, diagonal=True))
    event_shape = tuple(size // 2 for size in event_shape)
    coupling = partial(
      BlockCoupling,
      event_shape=event_shape,
      num_mixtures=num_mixtures,
      conditioner=conditioner,
      num_features=num_features,
      hidden_width=hidden_width,
      channel_features=channel_features,
      rngs=rngs,
    )
    # in the order in which data meet them: the pixels that are drawn last are first
    layers += [
      coupling(kept=2 * num_channels, changed=2 * num_channels),
      coupling(kept=num_channels, changed=num_channels),
    ]
    levels.append(Chain(layers[::-1]))
    lengths.append(math.prod(event_shape))
    leaving.append((4 if number == num_levels - 1 else 3) * num_channels)
    layers = []
  return MultiScaleDensity(levels, leaving, lengths)
