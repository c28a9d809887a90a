"""Completes examples of which some positions are observed."""

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Int

from catgen import meshes
from catgen.evaluation.samples import in_batches
from catgen.evaluation.spread import ALONE, Spread
from catgen.given import labels_of_each
from catgen.interfaces import EventSpec, InputError, Model, PyTree, SampleOptions, Samples

DEFAULT_OPTIONS = SampleOptions()


class Pattern(NamedTuple):
  """An example of which some positions are observed; x is 0 at the others."""

  x: Int[np.ndarray, "*event"]
  observed: Bool[np.ndarray, "*event"]


def parse_pattern(
  text: str, encode: Callable[[str], np.ndarray], *, length: int, hole: str = "_", pad: bool = False
) -> Pattern:
  """Returns the pattern of a text in which `hole` stands for each unknown position.

  What is known takes as many positions as its encoding: "é" two where positions are bytes.

  Args:
    text: for example "the ___ sat".
    encode: `Codec.encode`; called on the pieces between the holes.
    length: positions of an example of the model.
    hole: one character, outside the alphabet or at least not wanted in the text.
    pad: continue a short pattern by holes.

  Raises:
    InputError: the wrong length, no hole, or a character outside the alphabet.
  """
  if len(hole) != 1:
    raise InputError(f"the hole must be one character, not {hole!r}")
  pieces = [np.asarray(encode(piece)) if piece else np.zeros(0, np.int32) for piece in text.split(hole)]
  gap = np.full(1, -1)
  marked = np.concatenate([pieces[0], *(part for piece in pieces[1:] for part in (gap, piece))]).astype(np.int32)
  if pad:
    marked = np.pad(marked, (0, max(0, length - len(marked))), constant_values=-1)
  observed = marked >= 0
  if observed.all():
    raise InputError(f"the pattern has no hole: write {hole!r} for each position to fill in")
  _check_length(len(marked), length, hole)
  return Pattern(np.where(observed, marked, 0), observed)


def _check_length(found: int, length: int, hole: str) -> None:
  if found == length:
    return
  remedy = f"add {length - found} (for example as {hole!r})" if found < length else f"remove {found - length}"
  raise InputError(f"the pattern has {found} positions, the model's examples have {length}: {remedy}")


def parse_regions(regions: Sequence[str], shape: tuple[int, ...]) -> Bool[np.ndarray, "height width"]:
  """Returns True inside any of the regions, each "top,left,height,width" in rows and columns counted from 0.

  Raises:
    InputError: a region has other parts, or does not lie in the map.
  """
  if len(shape) != 2:
    raise InputError(f"regions are for maps, but the model's examples have shape {shape}; mark what is missing by -1")
  inside = np.zeros(shape, bool)
  for region in regions:
    if re.fullmatch(r"[0-9]{1,9}(,[0-9]{1,9}){3}", region) is None:
      raise InputError(f"the region {region!r} is no four whole numbers: give top,left,height,width")
    top, left, height, width = map(int, region.split(","))
    if not (height and width and top + height <= shape[0] and left + width <= shape[1]):
      raise InputError(f"the region {region!r} (top,left,height,width) does not lie in maps of shape {shape}")
    inside[top : top + height, left : left + width] = True
  return inside


def infill(
  model: Model,
  params: PyTree,
  state: PyTree,
  x: Int[np.ndarray, "*event"],
  observed: Bool[np.ndarray, "*event"],
  *,
  key: Array,
  num_samples: int = 1,
  batch_size: int = 64,
  given: Int[np.ndarray, "attributes"] | None = None,
  options: SampleOptions = DEFAULT_OPTIONS,
  progress: Callable[[int], Any] = lambda count: None,
  stop: Callable[[], Any] = lambda: False,
  spread: Spread = ALONE,
) -> Samples:
  """Returns `num_samples` completions of one pattern, equal to x where observed; given: labels, None = none is given.

  See `infill_each`; the number of completions is at least 1.
  """
  if num_samples < 1:
    raise InputError(f"num_samples is {num_samples}; it must be at least 1")
  patterns = [np.broadcast_to(array[None], (num_samples, *array.shape)) for array in (x, observed)]
  return infill_each(
    model,
    params,
    state,
    *patterns,
    key=key,
    batch_size=batch_size,
    given=given,
    options=options,
    progress=progress,
    stop=stop,
    spread=spread,
  )


def infill_each(
  model: Model,
  params: PyTree,
  state: PyTree,
  x: Int[np.ndarray, "patterns *event"],
  observed: Bool[np.ndarray, "patterns *event"],
  *,
  key: Array,
  batch_size: int = 64,
  given: Int[np.ndarray, "attributes"] | None = None,
  options: SampleOptions = DEFAULT_OPTIONS,
  progress: Callable[[int], Any] = lambda count: None,
  stop: Callable[[], Any] = lambda: False,
  spread: Spread = ALONE,
) -> Samples:
  """Returns a completion of each pattern, equal to x where observed; given: labels of all, None = none is given.

  They are drawn `batch_size` at a time, over the devices of `spread`, which changes none of them.
  `model.infill.exact` and `.explanation` say whether they follow the model's conditional distribution.

  Raises:
    InputError: the model cannot complete, the wrong shape, a category out of range, or a hole before an observed
      position in a model that can only continue.
  """
  check_patterns(model, x, observed)
  draw, last = compiled(model, options, spread), len(x) - 1

  def draw_some(numbers: Int[np.ndarray, "some"], keys: Array) -> Samples:
    chosen = np.minimum(numbers, last)  # the last batch is filled up
    flags = observed[chosen]
    patterns = np.where(flags, x[chosen], 0).astype(np.int32)
    labels = None if given is None else labels_of_each(model.event, given, len(numbers))
    return draw(params, *spread.put((patterns, flags)), keys, spread.put(labels), state)

  return in_batches(draw_some, len(x), batch_size, key, progress, stop, spread)


def check_patterns(
  model: Model, x: Int[np.ndarray, "patterns *event"], observed: Bool[np.ndarray, "patterns *event"]
) -> None:
  """Raises InputError where a model cannot complete patterns; see `infill_each`."""
  if model.infill is None:
    raise InputError("this model cannot complete patterns: take a diffusion or an autoregressive model")
  shape, num_classes = model.event.shape, model.event.num_classes
  if x.shape[1:] != shape or observed.shape != x.shape:
    raise InputError(
      f"the pattern has shape {x.shape[1:]} (observed: {observed.shape[1:]}), the model's examples have {shape}"
    )
  if ((x < 0) | (x >= num_classes))[observed].any():
    raise InputError(f"an observed category lies outside [0, {num_classes})")
  if model.infill.prefix_only:
    _check_prefixes(observed, model.event)


def _check_prefixes(observed: Bool[np.ndarray, "patterns *event"], event: EventSpec) -> None:
  seen = observed.reshape(len(observed), observed[0].size)
  late = seen[:, 1:] & ~seen[:, :-1]
  if late.any():
    first = observed[late.any(axis=1)][0]
    place = _first_place(~first, event)
    raise InputError(
      f"this model can only continue a beginning, but {place} is a hole before an observed one; take a diffusion model"
    )


def check_ignored(model: Model, ignored: Bool[np.ndarray, "*event"], observed: Bool[np.ndarray, "*event"]) -> None:
  """Raises InputError where a model that only continues would draw what the data ignore before an observed position."""
  before = np.flatnonzero(observed)[-1:]
  early = ignored & (np.arange(ignored.size).reshape(ignored.shape) < (before[0] if before.size else 0))
  if model.infill is not None and model.infill.prefix_only and early.any():
    raise InputError(
      "this model can only continue a beginning, and what the data ignore is drawn too, which here comes before "
      f"something observed; hide all from {_first_place(early, model.event)} on, or take a diffusion model"
    )


def _first_place(flags: Bool[np.ndarray, "*event"], event: EventSpec) -> str:
  """Returns how a user calls the first position that is True."""
  place = np.argwhere(flags)[0]
  if len(place) == 2:
    return f"the pixel in row {place[0]}, column {place[1]} (from 0)"
  return f"{'column' if event.sizes else 'position'} {place[0] + 1}"


@functools.lru_cache(maxsize=16)
def compiled(model: Model, options: SampleOptions, spread: Spread) -> Callable[..., Samples]:
  """Returns (params, x, observed, keys, given, state) -> Samples, compiled, remembered; see `Infill.draw`."""

  def draw(params: PyTree, x: Array, observed: Array, keys: Array, given: Array | None, state: PyTree) -> Samples:
    assert model.infill is not None
    x, observed, keys, given = meshes.spread((x, observed, keys, given))
    return model.infill.draw(params, x, observed, keys, given=given, state=state, options=options)

  return spread.compiled(draw)
