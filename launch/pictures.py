"""Pictures of label maps that entry points leave in a work directory and show in TensorBoard."""

import os
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from catgen.build import RunRecord
from catgen.evaluation.samples import Frequencies
from catgen.interfaces import DataSource, EventSpec, Legend
from catgen.reporting import figures_map_chain, figures_maps, figures_statistics, palette, writers
from catgen.reporting.sheet import WIDTH
from launch import cli

_MOST = 64  # maps in a grid
_BESIDE = 12  # maps of each set
_MODEL_WIDTH = 290  # pixels of a model's column
_NAMED = 8  # categories in a line
_CHAIN_EXAMPLES, _CHAIN_FRAMES = 4, 8


def is_map(event: EventSpec) -> bool:
  """Returns True where an example is a plane of categories."""
  return len(event.shape) == 2


def legend_of(source: RunRecord | DataSource) -> Legend:
  """Returns names and colors of the categories; numbers, where the data have no names."""
  return palette.legend_or_numbers(source.codec.legend, source.event.num_classes)


def marked(x: Int[np.ndarray, "*maps"], valid: Bool[np.ndarray, "*maps"]) -> Int[np.ndarray, "*maps"]:
  """Returns maps with -1 for what means no category."""
  return np.where(valid, x, -1)


def show(workdir: str, step: int, paths: Sequence[str]) -> None:
  """Shows pictures in the TensorBoard of the work directory, at a checkpoint's step, and prints where they are."""
  writers.show_pictures(workdir, step, paths)
  cli.say(f"pictures: {', '.join(paths)}")


def summary(shares: Float[np.ndarray, "classes"], legend: Legend) -> str:
  """Returns the largest categories in a line."""
  largest = [i for i in np.argsort(-shares, kind="stable")[:_NAMED] if shares[i] > 0]
  return ", ".join(f"{legend.names[i]} {shares[i]:.1%}" for i in largest)


def draw_samples(path: str, maps: Int[np.ndarray, "maps height width"], legend: Legend, step: int) -> str:
  """Draws a grid of samples and returns its path."""
  shown = maps[:_MOST]
  number = f"{len(shown)} samples" if len(shown) == len(maps) else f"{len(shown)} of {len(maps):,} samples"
  figures_maps.map_grid(shown, path, legend=legend, title=f"{number}, step {step:,}")
  return path


def draw_beside(
  path: str,
  data: Int[np.ndarray, "data height width"],
  samples: Int[np.ndarray, "samples height width"],
  legend: Legend,
  step: int,
) -> str:
  """Draws as many held-out maps as samples, side by side, and returns the path."""
  number = min(len(data), len(samples), _BESIDE)
  groups = {"held-out data": data[:number], "samples": samples[:number]}
  figures_maps.maps_beside(groups, path, legend=legend, title=f"Data and samples, step {step:,}")
  return path


def draw_models(path: str, sets: Mapping[str, Int[np.ndarray, "maps height width"]], legend: Legend) -> str:
  """Draws a column of maps for the data and each model, side by side, and returns the path."""
  width = max(WIDTH, _MODEL_WIDTH * len(sets))
  figures_maps.maps_beside(sets, path, legend=legend, columns=1, title="Data and samples", width=width)
  return path


def draw_statistics(path: str, sets: Mapping[str, Frequencies], legend: Legend) -> str:
  """Draws how often categories and neighbors occur in sets of maps, the data first, and returns the path."""
  classes = {name: found.classes for name, found in sets.items()}
  right = {name: found.pairs for name, found in sets.items()}
  below = {name: found.pairs_below for name, found in sets.items() if found.pairs_below is not None}
  pairs = {"pixel to the right": right, "pixel below": below}
  figures_statistics.map_statistics(classes, pairs, path, legend=legend)
  return path


def draw_chain(workdir: str, chain: Int[np.ndarray, "frames maps height width"], legend: Legend) -> list[str]:
  """Draws the first samples' way from noise as a strip and as an animation, and returns the paths."""
  frames, labels, few = chain[:, :_CHAIN_EXAMPLES], chain_labels(len(chain)), evenly(len(chain), _CHAIN_FRAMES)
  paths = [os.path.join(workdir, name) for name in ("chain.png", "chain.gif")]
  figures_map_chain.map_chain(frames[few], [labels[i] for i in few], paths[0], legend=legend)
  figures_map_chain.map_chain_animation(frames, labels, paths[1], legend=legend)
  return paths


def chain_labels(number: int) -> list[str]:
  """Returns how far each frame of a chain is."""
  return [f"{i / (number - 1):.0%}" for i in range(number)]


def evenly(number: int, wanted: int) -> Int[np.ndarray, "chosen"]:
  """Returns the numbers of so many frames, evenly spaced, first and last among them."""
  return np.unique(np.round(np.linspace(0, number - 1, wanted)).astype(int))
