"""Discrete flows: categories shifted and scaled modulo K, given others, until a simple base explains them.

Reference: Tran et al. (2019), Discrete Flows: Invertible Generative Models of Discrete Data (arXiv:1905.10347).
"""

from functools import partial

from flax import nnx

from catgen.events import refuse_sizes
from catgen.flows.densities.categorical_priors import Independent, Ordered, Prior
from catgen.flows.densities.discrete import DiscreteDensity
from catgen.flows.layer import Layer
from catgen.flows.layers.alternating import Alternating
from catgen.flows.layers.autoregressive import Autoregressive
from catgen.flows.layers.categories import ModularTransform
from catgen.flows.layers.chain import Chain
from catgen.flows.layers.rearrangement import reversal
from catgen.interfaces import EventSpec, InputError, Model
from catgen.kinds import Recipe
from catgen.models.discrete.exact import exact_flow
from catgen.networks.roles import Conditioner

_COUPLINGS = ("autoregressive", "bipartite")


def discrete_flow(
  event: EventSpec,
  *,
  conditioner: Recipe,
  coupling: str = "autoregressive",
  num_layers: int = 1,
  scale: bool = True,
  temperature: float = 0.1,
  base_network: Recipe | None = None,
) -> Model:
  """Returns a discrete flow, whose likelihood is exact and whose gradients are straight-through estimates.

  Args:
    event: shape and number of classes K.
    conditioner: network that says by how much each category is shifted and scaled.
    coupling: "autoregressive": each position given those before it, in layers between which the order is reversed;
      sampling makes one position after the other. "bipartite": every second position given the others, in turn.
    num_layers: of the flow.
    scale: multiply, by numbers coprime to K, as well as shift.
    temperature: > 0, of the softmax whose gradient stands for that of the most probable shift and scale.
    base_network: of an autoregressive base; None = a base of independent categories, those of a position its own.

  Raises:
    InputError: an unknown coupling, no layers, or a temperature that is not positive.
  """
  refuse_sizes(event, "a discrete flow")
  if coupling not in _COUPLINGS:
    raise InputError(f"coupling {coupling!r} is unknown; choose {' or '.join(_COUPLINGS)}")
  if num_layers < 1 or not temperature > 0:
    raise InputError(f"num_layers is {num_layers} and temperature {temperature}; they must be at least 1, and positive")
  k = event.num_classes
  causal = coupling == "autoregressive"

  def network(recipe: Recipe, causal: bool, num_outputs: int, rngs: nnx.Rngs) -> Conditioner:
    num_channels = k if causal else k + 1
    return Conditioner(recipe, event.shape, num_channels, num_outputs, causal=causal, given=event.given, rngs=rngs)

  def density(rngs: nnx.Rngs) -> DiscreteDensity:
    transform = partial(ModularTransform, k, scaled=scale, temperature=temperature)
    layers: list[Layer] = []  # in the order that data meet them
    for number in range(num_layers):
      layers += [reversal()] if causal and number else []
      own = transform()
      features = network(conditioner, causal, own.num_features, rngs)
      layers.append(
        Autoregressive(features, own) if causal else Alternating(event.shape, (number + 1) % 2, features, own)
      )
    # one that learned faster than the layers would be what single positions are, where the layers have no gradient
    prior: Prior = Independent(event.shape, 1, k, rngs=rngs)
    if base_network is not None:
      prior = Ordered(network(base_network, True, k, rngs), k)
    return DiscreteDensity([Chain(layers[::-1])], [prior], [k])

  return exact_flow(event, density, guided=False)
