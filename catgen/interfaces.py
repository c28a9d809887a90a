"""The words that all of catgen shares: events, batches, bounds and models, as records; those of data are in `sources`.

Every family of models is a `Model`, every data set a `DataSource`. Both are records of pure functions, whose signatures
stand before them as protocols; a capability that a family lacks is `None`, so a caller tests a value and never a class.
Order of arguments everywhere: parameters, data, keys, then keyword-only.
"""

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from catgen.records import documented

PyTree = Any
if TYPE_CHECKING:
  from catgen.chains import Chain, Reverse
  from catgen.memories import Carry
  from catgen.orders import Orders, Sequential

  HostOrDevice = Any
else:
  HostOrDevice = Array | np.ndarray


class InputError(ValueError):
  """A mistake of the user's: one line that names the thing and the remedy, shown without a traceback."""


@documented
class EventSpec(NamedTuple):
  """What one example is: made by data, read by models.

  Args:
    shape: of one example, without batch: (256,) for text, (32, 64) for maps.
    num_classes: K, at least 1; data are integers in [0, K).
    given: categories of each attribute that may condition an example; one more means "not given".
    ignores: any position may be invalid, as an ignored label is; False: only padding at the end.
    whole: a model only ever meets examples all of whose positions are valid, or none: it is compiled without any mask.
      What training knows of its data; a model of examples that users type does not know it.
    sizes: categories of each position, in row-major order, where they differ, as the columns of a table do: those of
      position d are in [0, sizes[d]), the others have probability 0 there, and the largest number is K; None: K
      everywhere.
    frequencies: of the categories in the training data, each above 0; None: nobody has asked, as most models do not.
    touching: likewise of pairs of categories that touch, (0, 1), (0, 2), ..., (1, 2), ..., whichever of the two comes
      first.
  """

  shape: tuple[int, ...]
  num_classes: int
  given: tuple[int, ...] = ()
  ignores: bool = False
  whole: bool = False
  sizes: tuple[int, ...] | None = None
  frequencies: tuple[float, ...] | None = None
  touching: tuple[float, ...] | None = None


@documented
class Batch(NamedTuple):
  """Examples, which of their positions count, and their numbers: how examples travel. Made by `batches.batch_of`.

  Args:
    x: examples, integers in [0, K).
    valid: False = padding: contributes 0 nats.
    index: number in the global batch (training) or in the split (evaluation); hides tuple.index, which nobody calls.
    scored: which valid positions the likelihood counts, None = all of them; the others are context.
    given: attributes of each example, in the order of `EventSpec.given`, the size of one meaning "not given"; None: no
      example is given anything.
    continues: whether each begins where the example at its place in the batch before ended: how streams are read on;
      None: all stand alone.
  """

  x: Int[HostOrDevice, "batch *event"]
  valid: Bool[HostOrDevice, "batch *event"]
  index: Int[HostOrDevice, "batch"]
  scored: Bool[HostOrDevice, "batch *event"] | None = None
  given: Int[HostOrDevice, "batch attributes"] | None = None
  continues: Bool[HostOrDevice, "batch"] | None = None


class Bound(NamedTuple):
  """One draw whose expectation is a lower bound on log p(x), in nats, summed over valid positions."""

  nats: Float[Array, "batch"]
  terms: dict[str, Float[Array, "batch"]]  # named, and they add up to `nats`
  statistics: PyTree = ()  # per example, e.g. (t, L_t) for a loss-aware time sampler; never reduced in the model
  # what training raises in place of `nats` where the two differ (weighted terms, auxiliary predictions); no bound, and
  # never reported as one
  objective: Float[Array, "batch"] | None = None


class Profile(NamedTuple):
  """Where a full bound loses its nats (positive numbers, losses): by time step and by position."""

  by_time: Float[Array, "batch time"]  # entry t - 1 belongs to the step from x_t to x_(t-1)
  by_position: Float[Array, "batch *event"]


@documented
class SampleOptions(NamedTuple):
  """How to draw. Static under jit. An option that a family cannot honour is refused, never ignored.

  Args:
    num_steps: network calls of an iterative sampler; None = the family's own default.
    temperature: >= 0; divides the logits of every draw of a clean category; 0: the most probable one; see
      `distributions.categorical.restrict`.
    top_k: in 1..K; only so many of the most probable categories; None = all.
    top_p: in (0, 1]; only the most probable categories that together have this probability.
    forbid: categories that are never drawn.
    num_frames: > 0: also return that many states of the chain, noise first, sample last.
    guidance: of examples that are given labels: a category has probability
      p(. | labels)^guidance p(. | none)^(1 - guidance), normalized; 1: the labels as they are, 0: none, more:
      exaggerated; see `distributions.categorical.guided`.
    guidance_interval: of the times in [0, 1], 1 = noise, at which guidance acts.
    order: in which positions are drawn, one of the model's `orders`; None = the family's own way.
    positions_per_call: >= 1; of an order: positions that are drawn together, given the same others.
    entropy_budget: >= 0; nats, of the order of this name: as many positions together as lose at most this.
    blocks: of the order of this name: positions of each call in turn, which add up to all.
    correction: in [0, 1]; share of the positions that a diffusion model draws anew at every move.
  """

  num_steps: int | None = None
  temperature: float = 1.0
  top_k: int | None = None
  top_p: float = 1.0
  forbid: tuple[int, ...] = ()
  num_frames: int = 0
  guidance: float = 1.0
  guidance_interval: tuple[float, float] = (0.0, 1.0)
  order: str | None = None
  positions_per_call: int = 1
  entropy_budget: float = 0.0
  blocks: tuple[int, ...] = ()
  correction: float = 0.0


class ReadOptions(NamedTuple):
  """How a model that carries a memory reads on. Static under jit."""

  max_distance: int | None = None  # positions; larger distances are taken for this one; None = none are
  same_length: bool = False  # each position sees itself and as many before it as the memory has, and no more


class Samples(NamedTuple):
  """Drawn examples. `valid` is False where a model produced a code that means no category."""

  x: Int[HostOrDevice, "batch *event"]
  valid: Bool[HostOrDevice, "batch *event"]
  chain: Int[HostOrDevice, "frames batch *event"] | None = None  # category K stands for "masked" where a process has it


class Denoised(NamedTuple):
  """Normalized log-probabilities of every clean category, in nats."""

  posterior: Float[Array, "batch *event classes"]  # log p(x | all of the corrupted x, own position included)
  prediction: Float[Array, "batch *event classes"]  # log p(x | the other positions): the network's own answer


class InitFn(Protocol):
  """Returns (params, state) for a real batch, so that data-dependent initialization is no special path."""

  def __call__(self, batch: Batch, key: Array, /) -> tuple[PyTree, PyTree]: ...


class BoundFn(Protocol):
  """Returns a draw of a lower bound on log p(x | batch.given).

  keys: one per example. strata: one number in [0, 1) per example, each uniform and jointly stratified over the batch,
  for whatever a family wants spread out.
  """

  def __call__(
    self,
    params: PyTree,
    batch: Batch,
    keys: Key[Array, "batch"],
    /,
    *,
    state: PyTree,
    train: bool,
    strata: Float[Array, "batch"] | None = None,
  ) -> Bound: ...


class LogProbFn(Protocol):
  """Returns log p(x | batch.given) in nats, exact, of the scored positions given all before them."""

  def __call__(self, params: PyTree, batch: Batch, /, *, state: PyTree) -> Float[Array, "batch"]: ...


class LogWeightFn(Protocol):
  """Returns a draw of log w in nats, with E[w] = p(x | batch.given)."""

  def __call__(
    self, params: PyTree, batch: Batch, keys: Key[Array, "batch"], /, *, state: PyTree
  ) -> Float[Array, "batch"]: ...


class FullBoundFn(Protocol):
  """Returns the bound with every time step once, and where its nats are lost.

  options: of which samples the bound is; num_steps and correction count, and no other may be set.
  """

  def __call__(
    self,
    params: PyTree,
    batch: Batch,
    keys: Key[Array, "batch"],
    /,
    *,
    state: PyTree,
    options: SampleOptions = SampleOptions(),  # noqa: B008
  ) -> tuple[Bound, Profile]: ...


class SampleFn(Protocol):
  """Returns draws of p(x | given), one per key. given: as in `Batch`."""

  def __call__(
    self,
    params: PyTree,
    keys: Key[Array, "batch"],
    /,
    *,
    given: Int[Array, "batch attributes"] | None = None,
    state: PyTree,
    options: SampleOptions,
  ) -> Samples: ...


class UpdateStateFn(Protocol):
  """Returns the state after a training step, of its `Bound.statistics` and of which examples have a valid position."""

  def __call__(self, state: PyTree, statistics: PyTree, valid: Bool[Array, "batch"], /) -> PyTree: ...


class DenoiseFn(Protocol):
  """Returns the distributions of the clean categories. noise_level: the probability that a category of x is wrong."""

  def __call__(
    self,
    params: PyTree,
    x: Int[Array, "batch *event"],
    valid: Bool[Array, "batch *event"],
    noise_level: Float[Array, ""] | float,
    /,
    *,
    given: Int[Array, "batch attributes"] | None = None,
    state: PyTree,
  ) -> Denoised: ...


class InfillFn(Protocol):
  """Returns examples that are equal to x where observed, one per key."""

  def __call__(
    self,
    params: PyTree,
    x: Int[Array, "batch *event"],
    observed: Bool[Array, "batch *event"],
    keys: Key[Array, "batch"],
    /,
    *,
    given: Int[Array, "batch attributes"] | None = None,
    state: PyTree,
    options: SampleOptions,
  ) -> Samples: ...


class Infill(NamedTuple):
  """Completes examples of which some positions are observed."""

  draw: InfillFn
  exact: bool  # True: draws follow the model's conditional distribution; False: an approximation
  explanation: str  # one sentence for the user: why exact, or what is approximated
  prefix_only: bool = False  # True: the observed positions must come before all others


class InferFn(Protocol):
  """Returns a draw v of q(v | x) for each example, and log q(v | x) in nats."""

  def __call__(
    self, params: PyTree, batch: Batch, keys: Key[Array, "batch"], /, *, state: PyTree
  ) -> tuple[Float[Array, "batch ..."], Float[Array, "batch"]]: ...


class LatentLogProbFn(Protocol):
  """Returns log p(v | given) in nats."""

  def __call__(
    self,
    params: PyTree,
    v: Float[Array, "batch ..."],
    /,
    *,
    given: Int[Array, "batch attributes"] | None = None,
    state: PyTree,
  ) -> Float[Array, "batch"]: ...


class LatentSampleFn(Protocol):
  """Returns draws of p(v | given), one per key, and the examples that they mean, or that are drawn given them."""

  def __call__(
    self,
    params: PyTree,
    keys: Key[Array, "batch"],
    /,
    *,
    given: Int[Array, "batch attributes"] | None = None,
    state: PyTree,
  ) -> tuple[Float[Array, "batch ..."], Samples]: ...


class LogQFn(Protocol):
  """Returns log q(v | x) in nats; -inf where v means another x."""

  def __call__(
    self, params: PyTree, batch: Batch, v: Float[Array, "batch ..."], /, *, state: PyTree
  ) -> Float[Array, "batch"]: ...


class LogLikelihoodFn(Protocol):
  """Returns log p(x | v) in nats: 0 or -inf where x is a function of v."""

  def __call__(
    self, params: PyTree, batch: Batch, v: Float[Array, "batch ..."], /, *, state: PyTree
  ) -> Float[Array, "batch"]: ...


class Latent(NamedTuple):
  """The continuous latent v of a model: x is a function of it, or is drawn given it."""

  infer: InferFn
  log_prob: LatentLogProbFn
  sample: LatentSampleFn
  log_q: LogQFn
  log_likelihood: LogLikelihoodFn
  has_unused_codes: bool  # True: some v mean no category (`Samples.valid`), and P(invalid) > 0


@documented
class Model(NamedTuple):
  """A generative model of events as pure functions. `params` and `state` are nested dicts of arrays.

  Args:
    event: what one example is.
    init: (batch, key) -> (params, state).
    bound: (params, batch, keys, state=, train=) -> `Bound`: a draw of a lower bound on log p(x), in nats; what training
      raises.
    sample: (params, keys, state=, options=) -> `Samples`: draws of p(x), one per key.
    update_state: (state, statistics, valid) -> state, once a training step; None: the state does not change.
    log_prob: (params, batch, state=) -> exact log p(x) in nats; None: only bounds are known.
    log_weight: (params, batch, keys, state=) -> draws of log w in nats, with E[w] = p(x), for importance weighting.
    full_bound: (params, batch, keys, state=) -> the bound with every time step once, and where its nats are lost.
    denoise: (params, x, valid, noise_level, state=) -> `Denoised`: distributions of the clean categories.
    infill: completes examples of which some positions are observed, and says whether that is exact.
    latent: the continuous latent of which x is a function, or from which it is drawn.
    carry: a memory that goes from each example to the one that continues it, where streams are read on.
    chain: the probabilities of a diffusion process and of its reversal, step by step.
    orders: the orders in which positions can be drawn, with the likelihood of samples by each.
    sequential: the probabilities of one position after the other, which codes and searches read.
    reverse: the reversal of a process for any prediction, also one that is not learned.
  """

  event: EventSpec
  init: InitFn
  bound: BoundFn
  sample: SampleFn
  update_state: UpdateStateFn | None = None
  log_prob: LogProbFn | None = None
  log_weight: LogWeightFn | None = None
  full_bound: FullBoundFn | None = None
  denoise: DenoiseFn | None = None
  infill: Infill | None = None
  latent: Latent | None = None
  carry: "Carry | None" = None
  chain: "Chain | None" = None
  orders: "Orders | None" = None
  sequential: "Sequential | None" = None
  reverse: "Reverse | None" = None

  def __repr__(self) -> str:
    able = [name for name in self._fields[2:] if getattr(self, name) is not None]
    shape = ", ".join(map(str, self.event.shape))
    return f"Model(events [{shape}] of {self.event.num_classes} categories; {', '.join(able)})"
