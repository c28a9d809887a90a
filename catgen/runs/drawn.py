"""Parameters that draw no category which training rows never had and which stands for what they are not."""

import jax.numpy as jnp
import numpy as np

from catgen.data.tabular.codec import KIND, never_drawn, table_of
from catgen.interfaces import PyTree
from catgen.runs.load import Run
from catgen.runs.record import RunRecord


def drawing(run: Run) -> PyTree:
  """Returns the parameters that samples, completions and corrections of a run are drawn with; see `for_drawing`."""
  return for_drawing(run.record, run.params)


def for_drawing(record: RunRecord, params: PyTree) -> PyTree:
  """Returns the parameters that samples, completions and corrections are made with.

  A network that reads columns of different sizes ends in a head with a number for each category of each column, and a
  category that a column lacks has -inf there. Of tables the category "<other>" is taken out in the same way, in every
  column in which no training row has it: each draw is from the model's own probabilities of the others, normalized.
  Likelihoods take the parameters as they are.
  """
  codec, sizes = record.codec, record.event.sizes
  if codec.spec.get("kind") != KIND or sizes is None or not isinstance(params, dict):
    return params
  head = params.get("stack", {}).get("head", {})
  out = never_drawn(table_of(codec.spec))
  if not out or "bias" not in head or head["bias"].shape != (sum(sizes),):
    return params
  starts = np.cumsum(sizes) - np.array(sizes)
  places = np.array([starts[position] + category for position, category in out])
  bias = jnp.asarray(head["bias"]).at[places].set(-jnp.inf)
  return {**params, "stack": {**params["stack"], "head": {**head, "bias": bias}}}
