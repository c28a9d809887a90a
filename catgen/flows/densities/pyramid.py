"""A flow of maps from coarse to fine: every second pixel first, then those between them."""

from flax import nnx

from catgen.flows.densities.multi_scale import MultiScaleDensity
from catgen.flows.layer import Layer
from catgen.flows.layers.actnorm import ActNorm
from catgen.flows.layers.chain import Chain
from catgen.flows.layers.channelwise import Channelwise
from catgen.flows.layers.coupling import Coupling
from catgen.flows.layers.rearrangement import check_levels, squeeze
from catgen.kinds import Recipe
from catgen.networks.roles import Conditioner


def pyramid_density(
  num_channels: int,
  event_shape: tuple[int, ...],
  given: tuple[int, ...] = (),
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
    conditioner: network that reads the pixels that are known, of a whole map.
    num_levels: halvings of height and width; what is left after them is independent.
    num_mixtures: logistic components of every channel.
    num_features: features of a position, from the conditioner.
    hidden_width: width of the channel network, per channel.
    channel_features: features that a channel contributes to those after it.

  Raises:
    InputError: no levels, or a height or width that the levels do not halve evenly.

  Reference: the order of pixels is that of Reed et al. (2017), "Parallel multiscale autoregressive density estimation".
  """
  check_levels(event_shape, num_levels)
  sizes = {"num_mixtures": num_mixtures, "hidden_width": hidden_width, "channel_features": channel_features}
  levels, leaving, shapes = [], [], []
  layers: list[Layer] = [ActNorm(num_channels)]
  for number in range(num_levels):
    layers.append(squeeze(event_shape, diagonal=True))
    event_shape = tuple(size // 2 for size in event_shape)
    # in the order in which data meet them: the pixels that are drawn last are first
    for kept in (2 * num_channels, num_channels):  # as many channels follow them
      network = Conditioner(conditioner, event_shape, kept, num_features, given=given, rngs=rngs)
      layers.append(Coupling(kept, network, Channelwise(kept, num_features, **sizes, rngs=rngs)))
    levels.append(Chain(layers[::-1]))
    shapes.append(event_shape)
    leaving.append((4 if number == num_levels - 1 else 3) * num_channels)
    layers = []
  return MultiScaleDensity(levels, leaving, shapes)
