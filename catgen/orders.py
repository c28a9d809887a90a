"""Positions one after another, or some at a time: what a model says along an order, and how such a law is named.

A law of drawing is what `SampleOptions` say, but for guidance and states of a chain: the order, or the moves, and what
restricts each draw.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from jaxtyping import Array, Bool, Float, Int, Key

from catgen.interfaces import Batch, PyTree, SampleOptions

_PLAIN = SampleOptions()
MOVES = ("num_steps", "correction")  # what says by which moves a chain draws
OF_ORDERS = ("positions_per_call", "entropy_budget", "blocks")  # what says how many positions an order draws together
LAW = ("order", *OF_ORDERS, "temperature", "top_k", "top_p", "forbid", *MOVES)
_SHOWN = 8  # numbers of a list


class OrderLogProbFn(Protocol):
  """Returns log p(x | batch.given) in nats, exact, for the x that `Model.sample` draws by the same options."""

  def __call__(
    self, params: PyTree, batch: Batch, /, *, state: PyTree, options: SampleOptions
  ) -> Float[Array, "batch"]: ...


class OrderCallsFn(Protocol):
  """Returns how often the network is called to draw each x by the same options."""

  def __call__(
    self, params: PyTree, batch: Batch, /, *, state: PyTree, options: SampleOptions
  ) -> Int[Array, "batch"]: ...


class MaskedLossesFn(Protocol):
  """Returns a draw of the mean nats of a masked position, of each example with each number of masks at random places.

  counts: numbers of masks, 1 to D; of an example with fewer than D positions the same shares of them.
  """

  def __call__(
    self,
    params: PyTree,
    batch: Batch,
    keys: Key[Array, "batch"],
    /,
    *,
    state: PyTree,
    counts: Int[Array, "counts"],
  ) -> Float[Array, "batch counts"]: ...


class Orders(NamedTuple):
  """Orders in which positions are drawn, chosen before what is drawn there: `SampleOptions.order`.

  The likelihood of an order is that of its own sampler, restrictions such as a temperature included.
  """

  names: tuple[str, ...]  # each x has one path, so that p(x) is exact
  random: tuple[str, ...]  # to draw by only: p(x) is the mean over many paths
  most_together: int  # positions of a call
  log_prob: OrderLogProbFn
  num_calls: OrderCallsFn
  losses: MaskedLossesFn | None = None  # None: of no model that draws in blocks


class StartFn(Protocol):
  """Returns the carry before the first position: arrays [batch, ...], and [1, ...] of what all examples share.

  valid: which positions there are.
  """

  def __call__(
    self,
    params: PyTree,
    valid: Bool[Array, "batch *event"],
    /,
    *,
    given: Int[Array, "batch attributes"] | None = None,
    state: PyTree,
  ) -> PyTree: ...


class NextLogProbsFn(Protocol):
  """Returns log p(category at the position | those observed before it) in nats, and the carry for `observe`."""

  def __call__(
    self, params: PyTree, carry: PyTree, position: Int[Array, ""] | int, /
  ) -> tuple[Float[Array, "batch classes"], PyTree]: ...


class ObserveFn(Protocol):
  """Returns the carry once the category at the position is known."""

  def __call__(self, carry: PyTree, position: Int[Array, ""] | int, category: Int[Array, "batch"], /) -> PyTree: ...


class Sequential(NamedTuple):
  """One position after another, numbered in row-major order: for each from 0 on `log_probs`, then `observe`.

  What is said of invalid positions means nothing, and what is observed there changes nothing that is said of valid
  ones. `log_probs` calls the network, once. Where `Model.infill` is exact for holes anywhere, positions may
  come in any order.
  """

  start: StartFn
  log_probs: NextLogProbsFn
  observe: ObserveFn


def stated(options: SampleOptions) -> dict[str, Any]:
  """Returns what the options say of the law, as JSON has it: what is as by default is left out.

  Example:
    >>> stated(SampleOptions(order="margin", temperature=0.5, forbid=(1,), num_frames=3))
    {'order': 'margin', 'positions_per_call': 1, 'temperature': 0.5, 'forbid': [1]}
  """
  values = {name: getattr(options, name) for name in LAW if getattr(options, name) != getattr(_PLAIN, name)}
  if options.order is not None and not (options.entropy_budget or options.blocks):
    values["positions_per_call"] = options.positions_per_call
  return of_record({name: list(value) if isinstance(value, tuple) else value for name, value in values.items()})


def of_record(record: Mapping[str, Any]) -> dict[str, Any]:
  """Returns what of a record belongs to the law, in one sequence."""
  return {name: record[name] for name in LAW if name in record}


def named(law: Mapping[str, Any]) -> str:
  """Returns how the law of what `stated` returns is called; "" where nothing is stated.

  Example:
    >>> named(stated(SampleOptions(order="margin", positions_per_call=4, top_p=0.9)))
    'order margin, positions_per_call 4, top_p 0.9'
    >>> named({"order": "blocks", "blocks": [1] * 6 + [2] * 10})
    'order blocks, blocks 1 1 1 1 1 1 2 2 ... (16)'
  """

  def shown(value: Any) -> str:
    if not isinstance(value, list | tuple):
      return f"{value}"
    cut = f" ... ({len(value)})" if len(value) > _SHOWN else ""
    return " ".join(map(str, value[:_SHOWN])) + cut

  return ", ".join(f"{name} {shown(value)}" for name, value in law.items())
