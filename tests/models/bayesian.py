"""A Bayesian network with tables that are written out, columns of unequal sizes, as exact laws and as an oracle.

Weather decides whether it rains, rain and the season the road, the road and the hour the accident. The last column is
constant.
"""

import itertools
from functools import partial

import jax.numpy as jnp
import numpy as np

from catgen.data.tabular.codec import Table, table_codec
from catgen.data.tabular.columns import Column
from catgen.interfaces import EventSpec, Model
from catgen.media import media_of
from catgen.models.diffusion.bound import full_bound
from catgen.models.diffusion.sampling import make_infill, sample
from catgen.models.diffusion.sequential import make_sequential
from catgen.models.diffusion.spec import make_spec
from catgen.models.diffusion.unmasking import make_orders
from catgen.processes import PROCESSES, SCHEDULES, make_process
from catgen.runs.load import Run
from catgen.runs.record import RunRecord
from catgen.sources import Codec

WEATHER = np.array([0.5, 0.3, 0.2])
RAIN = np.array([[0.9, 0.1], [0.4, 0.6], [0.1, 0.9]])  # given the weather
ROAD = np.array([[0.7, 0.2, 0.1, 0.0], [0.1, 0.4, 0.3, 0.2]])  # given rain; it is never icy without
CRASH = np.array([[0.95, 0.05], [0.8, 0.2], [0.6, 0.4], [0.3, 0.7]])  # given the road
SIZES = (3, 2, 4, 2, 1)
EVENT = EventSpec((5,), 4, sizes=SIZES)
EVENTS = np.array(list(itertools.product(*map(range, SIZES))), np.int32)
W, R, S, C, _ = EVENTS.T
P = WEATHER[W] * RAIN[W, R] * ROAD[R, S] * CRASH[S, C]
NAMES = ("weather", "rain", "road", "crash", "town")
VALUES = (("sun", "cloud", "storm"), ("no", "yes"), ("dry", "wet", "dirty", "ice"), ("no", "yes"), ("here",))
COLUMNS = tuple(Column(name, "categorical", values) for name, values in zip(NAMES, VALUES, strict=True))
CODEC = table_codec(Table(COLUMNS, frozenset()))


def conditional(observed: dict[int, int]) -> np.ndarray:
  """Returns p(event | some columns), of all events."""
  joint = P * np.all([EVENTS[:, d] == value for d, value in observed.items()], axis=0)
  return joint / joint.sum()


def marginal(p: np.ndarray, column: int) -> np.ndarray:
  """Returns the shares of the categories of a column."""
  return np.bincount(EVENTS[:, column], p, SIZES[column])


def oracle(num_steps: int = 4) -> Model:
  """Returns a masked model whose network predicts each column given exactly what is visible."""
  process = make_process(PROCESSES["absorbing"](), EVENT)
  one_hot = (EVENTS[..., None] == np.arange(4)).astype(np.float32)

  def network(params, x_t, conditions):
    fits = ((x_t[:, None] == EVENTS[None]) | (x_t[:, None] == 4)).all(-1)
    weights = jnp.where(fits, jnp.asarray(P, jnp.float32)[None], 0.0)
    return jnp.log(jnp.einsum("bn,ndk->bdk", weights, one_hot))

  spec = make_spec(EVENT, process, SCHEDULES["linear"].make(), num_steps, False, network)
  return Model(
    event=EVENT,
    init=None,
    bound=None,
    sample=partial(sample, spec),
    full_bound=partial(full_bound, spec),
    infill=make_infill(spec),
    orders=make_orders(spec),
    sequential=make_sequential(spec),
  )


def run_of(model: Model, params: dict, workdir: str, codec: Codec = CODEC) -> Run:
  """Returns a run of a model of rows, as if it had been trained."""
  config = {"model": {"kind": "made up"}, "evaluation": {"batch_size": 16}, "sampling": {"batch_size": 512}}
  record = RunRecord(config, model.event, codec, "column", None, "", "", "")
  return Run(model, params, {}, record, media_of(model.event, codec, "column"), workdir, 0, False, lambda: None)
