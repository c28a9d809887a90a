"""Block diffusion models: p(x) = prod_b p(x^b | x^(<b)) over blocks of positions, each block by masked diffusion.

Within a block the positions are uncovered one at a time, in a uniformly random order, each drawn from what the network
predicts of it given all blocks before and what is visible of its own. That is masked diffusion in continuous time; the
network, which is told no time, needs none. Blocks of one position make it an autoregressive model, and a single block
an any-order one. The network is a causal one that reads noisy blocks too, by the same parameters: it can begin from
those of an autoregressive model.

Reference: Arriola et al. (2025), arXiv:2503.09573.
"""

from functools import partial

from jaxtyping import Array

from catgen.events import refuse_sizes
from catgen.interfaces import Batch, EventSpec, InputError, Model, PyTree
from catgen.kinds import Recipe
from catgen.models.adapter import functional
from catgen.models.block_diffusion.likelihood import bound, log_prob, log_weight
from catgen.models.block_diffusion.sampling import make_chain, make_infill, sample
from catgen.models.block_diffusion.sequential import make_sequential
from catgen.models.block_diffusion.spec import Spec
from catgen.models.block_diffusion.unmasking import make_orders
from catgen.networks.block_causal import BlockCausal

LONGEST_EXACT = 6  # positions of a block up to which p(x) is summed over its orders


def block_diffusion(event: EventSpec, *, network: Recipe, block_length: int = 4) -> Model:
  """Returns a block diffusion model of sequences.

  Up to six positions a block its `log_prob` is exact: 2^block_length - 1 calls of the network, each for all blocks at
  once, instead of the factorial of block_length orders.

  Args:
    event: length and number of classes of one example.
    network: that predicts categories from the blocks before and the visible part of their own, as a `BlockCausal`.
    block_length: positions of a block, which divides those of an example.

  Raises:
    InputError: the events are no sequences of one number of categories, blocks do not divide them, or the network
      cannot read noisy blocks.

  Reference: Arriola et al. (2025), arXiv:2503.09573, for the bound and the sampler.
  """
  _check(event, block_length)
  module = functional(
    lambda rngs: BlockCausal(network, event.shape, event.num_classes, event.given, block_length=block_length, rngs=rngs)
  )
  spec = Spec(event, block_length, module.apply)

  def init(batch: Batch, key: Array) -> tuple[PyTree, PyTree]:
    return module.init(key), {}

  return Model(
    event=event,
    init=init,
    bound=partial(bound, spec),
    sample=partial(sample, spec),
    log_prob=partial(log_prob, spec) if block_length <= LONGEST_EXACT else None,
    log_weight=partial(log_weight, spec),
    infill=make_infill(spec),
    chain=make_chain(spec),
    orders=make_orders(spec),
    sequential=make_sequential(spec),
  )


def _check(event: EventSpec, block_length: int) -> None:
  """Raises InputError where events cannot be cut into such blocks."""
  refuse_sizes(event, "a block diffusion model")
  if len(event.shape) != 1:
    raise InputError(
      f"a block diffusion model is of sequences, not of events of shape {event.shape}; use a diffusion or an "
      "autoregressive model"
    )
  length = event.shape[0]
  if block_length < 1 or length % block_length:
    divisors = ", ".join(str(n) for n in range(1, length + 1) if length % n == 0)
    raise InputError(
      f"block_length is {block_length}; it must divide the {length} positions of an example: choose one of {divisors}"
    )
