"""The words that all of catgen shares: events, batches, bounds, models and data, as records.

Every family of models is a `Model`, every data set a `DataSource`. Both are records of pure functions; a
capability that a family lacks is `None`, so a caller tests a value and never a class.
Order of arguments everywhere: parameters, data, keys, then keyword-only.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float, Int

PyTree = Any
if TYPE_CHECKING:
  HostOrDevice = Any
else:
  HostOrDevice = Array | np.ndarray


class InputError(ValueError):
  """A mistake of the user's: one line that names the thing and the remedy, shown without a traceback."""


class EventSpec(NamedTuple):
  """What one example is: made by data, read by models."""

  shape: tuple[int, ...]  # without batch: (256,) for text, (32, 64) for maps
  num_classes: int  # K; data are integers in [0, K)
  given: tuple[int, ...] = ()  # categories of each attribute that may condition an example; one more means "not given"


class Batch(NamedTuple):
  """Examples, which of their positions count, and their numbers."""

  x: Int[HostOrDevice, "batch *event"]
  valid: Bool[HostOrDevice, "batch *event"]  # False = padding: contributes 0 nats
  # number in the global batch (training) or in the split (evaluation); hides tuple.index, which nobody calls
  index: Int[HostOrDevice, "batch"]
  # which valid positions the likelihood counts, None = all of them; the others are context
  scored: Bool[HostOrDevice, "batch *event"] | None = None
  # attributes of each example, in the order of `EventSpec.given`; None = nothing is given
  given: Int[HostOrDevice, "batch attributes"] | None = None


class Bound(NamedTuple):
  """One draw whose expectation is a lower bound on log p(x), in nats, summed over valid positions."""

  nats: Float[Array, "batch"]
  terms: dict[str, Float[Array, "batch"]]  # named, and they add up to `nats`
  statistics: PyTree = ()  # per example, e.g. (t, L_t) for a loss-aware time sampler; never reduced in the model


class Profile(NamedTuple):
  """Where a full bound loses its nats (positive numbers, losses): by time step and by position."""

  by_time: Float[Array, "batch time"]  # entry t - 1 belongs to the step from x_t to x_(t-1)
  by_position: Float[Array, "batch *event"]


class SampleOptions(NamedTuple):
  """How to draw. Static under jit. An option that a family cannot honour is refused, never ignored."""

  num_steps: int | None = None  # network calls of an iterative sampler; None = the family's own default
  temperature: float = 1.0  # > 0; divides the logits of every categorical draw
  num_frames: int = 0  # > 0: also return that many states of the chain, noise first, sample last


class Samples(NamedTuple):
  """Drawn examples. `valid` is False where a model produced a code that means no category."""

  x: Int[Array, "batch *event"]
  valid: Bool[Array, "batch *event"]
  chain: Int[Array, "frames batch *event"] | None = None  # category K stands for "masked" where a process has it


class Denoised(NamedTuple):
  """Normalized log-probabilities of every clean category, in nats."""

  posterior: Float[Array, "batch *event classes"]  # log p(x | all of the corrupted x, own position included)
  prediction: Float[Array, "batch *event classes"]  # log p(x | the other positions): the network's own answer


class Infill(NamedTuple):
  """Completes examples of which some positions are observed."""

  draw: Callable  # (params, x, observed, keys, *, state, options) -> Samples, equal to x where observed
  exact: bool  # True: draws follow the model's conditional distribution; False: an approximation
  explanation: str  # one sentence for the user: why exact, or what is approximated
  prefix_only: bool = False  # True: the observed positions must come before all others


class Latent(NamedTuple):
  """The continuous latent v of a flow, of which x is a function."""

  # (params, batch, keys, *, state) -> a draw of q(v | x), Float["batch *event channels"], and its log q, in nats
  infer: Callable
  log_prob: Callable  # (params, v, *, given=None, state) -> log p(v | given) in nats, Float["batch"]
  sample: Callable  # (params, keys, *, given=None, state) -> draws of p(v), one per key, and the Samples that they mean
  log_q: Callable  # (params, batch, v, *, state) -> log q(v | x) in nats, Float["batch"]; -inf where v means another x
  has_unused_codes: bool  # True: some v mean no category (`Samples.valid`), and P(invalid) > 0


class Model(NamedTuple):
  """A generative model of events as pure functions. `params` and `state` are nested dicts of arrays."""

  event: EventSpec
  # (batch, key) -> (params, state); a real batch, so that data-dependent initialization is no special path
  init: Callable
  # (params, batch, keys, *, state, train, strata=None) -> Bound; keys: one per example; strata: one number in
  # [0, 1) per example, each uniform and jointly stratified over the batch, for whatever a family wants spread out
  bound: Callable
  sample: Callable  # (params, keys, *, state, options) -> Samples, one per key
  update_state: Callable | None = None  # (state, statistics, valid: Bool["batch"]) -> state; once a step
  log_prob: Callable | None = None  # (params, batch, *, state) -> Float["batch"], exact
  log_weight: Callable | None = None  # (params, batch, keys, *, state) -> Float["batch"], E[exp] = p(x)
  full_bound: Callable | None = None  # (params, batch, keys, *, state) -> (Bound, Profile): every time step once
  denoise: Callable | None = (
    None  # (params, x, valid, noise_level, *, state) -> Denoised; noise_level: P(a category is wrong)
  )
  infill: Infill | None = None
  latent: Latent | None = None


class Split(NamedTuple):
  """Examples of one split, read on demand as NumPy arrays: (numbers: Int["n"]) -> (x, valid), both ["n *event"]."""

  num_examples: int
  examples: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]  # fixed and disjoint: chunks of a stream, or records
  num_crops: int
  crops: Callable[
    [np.ndarray], tuple[np.ndarray, np.ndarray]
  ]  # an example from every start; the examples where there are none


class Legend(NamedTuple):
  """How the categories of a map are shown, in their order."""

  names: tuple[str, ...]
  colors: tuple[str, ...]  # "#rrggbb"


class Codec(NamedTuple):
  """Between what people read and integers; rebuilt from `spec` without the data."""

  encode: Callable  # str or array -> Int["length"] or Int["*event"]; raises InputError outside the alphabet
  decode: Callable  # (x, valid=None) -> str or array; one example
  spec: dict[str, Any]  # JSON
  legend: Legend | None = None  # of label maps


class DataSource(NamedTuple):
  """A data set: integers in named splits, with what is needed to read them and to report on them."""

  event: EventSpec
  splits: dict[str, Split]  # "train", "validation", "test" where present
  codec: Codec
  position: str  # what one position is: "character", "byte", "pixel", "value"
  bytes_per_position: float | None  # for Unicode text, so that bits per byte can be stated too
  fingerprint: str  # SHA-256 of the integers of all splits, in order
  description: str  # one line: origin and size
