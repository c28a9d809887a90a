"""The sizes of the blocks that a run draws in, from its loss curve on the training split."""

from collections.abc import Sequence

from catgen.evaluation import blocks
from catgen.interfaces import InputError
from catgen.keys import root_key
from catgen.runs.experiment import evaluation_batches
from catgen.runs.load import Run

_EXAMPLES, _SEED = 64, 0  # the same sizes whoever asks


def of_order(
  run: Run,
  order: str | None,
  positions_per_call: int,
  entropy_budget: float,
  sizes: Sequence[int],
  num_calls: int | None,
) -> dict[str, object]:
  """Returns the options of an order, with the sizes that a number of calls stands for.

  Raises:
    InputError: both sizes and a number are given, or there is no such order or model.
  """
  found = {"order": order, "positions_per_call": positions_per_call, "entropy_budget": entropy_budget}
  if num_calls is not None:
    if order != "blocks" or sizes:
      raise InputError("num_calls is of the order 'blocks' without --blocks, whose sizes it finds; leave it out")
    (sizes,) = sizes_of(run, [num_calls])
  return {**found, "blocks": tuple(sizes)}


def sizes_of(run: Run, numbers_of_calls: Sequence[int]) -> list[tuple[int, ...]]:
  """Returns the sizes of blocks for each number of calls; see `evaluation.blocks`.

  Raises:
    InputError: the model draws in no blocks, there are not so many positions, or the data are not there.
  """
  if run.model.orders is None or run.model.orders.losses is None:
    raise InputError("this model draws in no blocks, which masked diffusion alone does; leave --num_calls out")
  size = run.spread.filled(min(run.record.config["evaluation"]["batch_size"], _EXAMPLES))
  batches = evaluation_batches(run.source(), "train", size, _EXAMPLES)
  curve = blocks.loss_curve(run.model, run.params, run.state, batches, key=root_key(_SEED), spread=run.spread)
  return blocks.sizes(curve, numbers_of_calls)
