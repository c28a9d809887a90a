"""Label maps: examples are planes of categories with names and colors. Typed and written as any integers are."""

from collections.abc import Mapping
from functools import partial

import numpy as np
from jaxtyping import Float, Int

from catgen.data import get_split
from catgen.evaluation import judges, neighbor_counts, samples
from catgen.interfaces import Batch, EventSpec
from catgen.media import map_chain, map_pictures, map_statistics
from catgen.media.medium import Counted, Media, Pattern, Pictures, chain_labels, evenly, marked, statistics
from catgen.media.values import values_media
from catgen.paths import join
from catgen.reporting.colors import colored, legend_or_numbers
from catgen.reporting.drawing import missing_glyphs, undrawable
from catgen.reporting.tiles import WIDTH
from catgen.sources import Codec, DataSource, Legend

_MOST = 64  # maps in a grid
_BESIDE = 12  # maps of each set
_MODEL_WIDTH = 290  # pixels of a model's column
_NAMED = 8  # categories in a line
_CHAIN_EXAMPLES, _CHAIN_FRAMES = 4, 8
_MAX_COUNTED = 5000  # of the training split
_MATRIX = 256  # categories in a picture of pairs


def maps_media(event: EventSpec, codec: Codec, position: str) -> Media:
  """Returns how label maps are typed, shown, written, pictured and counted."""
  legend = legend_or_numbers(codec.legend, event.num_classes)

  def shown(batch: Batch) -> list[str]:
    known = batch._replace(x=np.maximum(batch.x, 0), valid=batch.valid & (batch.x >= 0))
    shares = samples.frequencies(known, event.num_classes).classes
    size = " x ".join(map(str, event.shape))
    return [f"{len(batch.x):,} maps of {size} {position}s: {_largest(shares, legend)}"]

  missing = undrawable(legend.names)
  return values_media(event, codec, position)._replace(
    name="maps",
    shown=shown,
    line_each=False,
    pictured=_pictures(_drawable(legend, missing)),
    warnings=lambda: missing_glyphs(missing, "there categories with such names are called by their numbers, from 0"),
    baselines=baselines,
    judge=partial(judges.of_maps, num_classes=event.num_classes),
  )


def _drawable(legend: Legend, missing: str) -> Legend:
  """Returns the legend with numbers in the place of names that have characters without a glyph."""
  return legend._replace(
    names=tuple(str(i) if set(name) & set(missing) else name for i, name in enumerate(legend.names))
  )


def _pictures(legend: Legend) -> Pictures:
  def draw_samples(path: str, batch: Batch, *, title: str) -> None:
    found = marked(batch)
    number = f"{len(found)}" if len(found) <= _MOST else f"{_MOST} of {len(found):,}"
    map_pictures.map_grid(found[:_MOST], path, legend=legend, title=f"{number} {title}")

  def draw_beside(path: str, sets: Mapping[str, Batch], *, title: str) -> None:
    number = min(_BESIDE, *(len(each.x) for each in sets.values()))
    groups = {name: marked(each)[:number] for name, each in sets.items()}
    map_pictures.maps_beside(groups, path, legend=legend, title=title)

  def draw_models(path: str, sets: Mapping[str, Batch]) -> None:
    groups, width = {name: marked(each) for name, each in sets.items()}, _MODEL_WIDTH * len(sets)
    map_pictures.maps_beside(groups, path, legend=legend, columns=1, title="Data and samples", width=max(WIDTH, width))

  def draw_statistics(path: str, sets: Mapping[str, Batch]) -> None:
    _, found = statistics(dict(sets), len(legend.names), "")
    first, *_ = found.values()
    chosen = np.sort(np.argsort(-first.classes, kind="stable")[:_MATRIX])  # all of them, or the most frequent ones
    shown = Legend(tuple(legend.names[i] for i in chosen), tuple(legend.colors[i] for i in chosen))
    classes = {name: each.classes[chosen] for name, each in found.items()}
    pairs = {name: each.pairs.among(chosen) for name, each in found.items()}
    below = {name: each.pairs_below.among(chosen) for name, each in found.items() if each.pairs_below is not None}
    first_way = "pixel below" if next(iter(sets.values())).x.shape[-1] == 1 else "pixel to the right"
    directions = {first_way: pairs, **({"pixel below": below} if below else {})}
    title = "How often categories and neighbors occur" + (
      f" (the {_MATRIX} most frequent)" if len(chosen) < len(legend.names) else ""
    )
    map_statistics.map_statistics(classes, directions, path, legend=shown, title=title)

  def draw_chain(folder: str, states: Int[np.ndarray, "frames examples height width"]) -> list[str]:
    frames, labels = states[:, :_CHAIN_EXAMPLES], chain_labels(len(states))
    few, paths = evenly(len(states), _CHAIN_FRAMES), [join(folder, f"chain.{end}") for end in ("png", "gif")]
    map_chain.map_chain(frames[few], [labels[i] for i in few], paths[0], legend=legend)
    map_chain.map_chain_animation(frames, labels, paths[1], legend=legend)
    return paths

  def draw_completions(
    folder: str, pattern: Pattern, completions: Int[np.ndarray, "completions height width"]
  ) -> list[str]:
    paths = [join(folder, name) for name in ("infill.png", "infill_completions.png")]
    map_pictures.map_uncertainty(
      pattern.x, pattern.observed, completions, paths[0], legend=legend, truth=pattern.truth, title="Infilling"
    )
    map_pictures.map_grid(completions, paths[1], legend=legend, title="Completions")
    return paths

  def draw_corrections(path: str, panels: Mapping[str, Int[np.ndarray, "height width"]]) -> None:
    groups = {name: panel[None] for name, panel in panels.items()}
    map_pictures.maps_beside(groups, path, legend=legend, columns=1)

  return Pictures(
    draw_samples,
    draw_beside,
    draw_models,
    draw_statistics,
    draw_chain,
    draw_completions,
    draw_corrections,
    partial(colored, legend=legend),
  )


def baselines(source: DataSource, batch: Batch) -> Counted:
  """Returns the cross-entropies of counts of training pixels: alone, by place, and given neighbors.

  With very many categories, so many neighbors as can be packed. Only what occurs is kept.
  """
  split, num_classes = get_split(source, "train"), source.event.num_classes
  model, longest = (
    neighbor_counts.fit(split, num_classes=num_classes, max_maps=_MAX_COUNTED),
    neighbor_counts.longest_order(num_classes),
  )
  nats = {
    "independent pixels": neighbor_counts.log_prob(model, batch, 1),
    "each place by itself": neighbor_counts.place_log_prob(model, batch),
    **{name: neighbor_counts.log_prob(model, batch, n) for name, n in _given(source.event.shape, longest).items()},
  }
  number, fewer = split.num_examples, longest < neighbor_counts.MAX_ORDER
  return Counted(
    {name: neighbor_counts.estimate(each, batch) for name, each in nats.items()},
    f"counted on the first {min(number, _MAX_COUNTED):,} of {number:,} training maps"
    + (f"; with more neighbors {num_classes:,} categories do not fit 63 bits" if fewer else ""),
  )


def _given(shape: tuple[int, ...], longest: int) -> dict[str, int]:
  """Returns the orders of counts given neighbors, by the names of those that maps of this shape have."""
  orders: dict[str, int] = {}
  for order in sorted({min(3, longest), longest}):
    if there := neighbor_counts.neighbors(shape, order):
      orders.setdefault("given " + (" and " if len(there) == 2 else ", ").join(there), order)
  return orders


def _largest(shares: Float[np.ndarray, "classes"], legend: Legend) -> str:
  """Returns the largest categories in a line."""
  largest = [i for i in np.argsort(-shares, kind="stable")[:_NAMED] if shares[i] > 0]
  return ", ".join(f"{legend.names[i]} {shares[i]:.1%}" for i in largest)
