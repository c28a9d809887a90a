"""What the page says of a model, by its family: a title, how it draws, what an example starts as."""

from collections.abc import Mapping
from typing import Any, NamedTuple

_BACK = "Move the slider to go back in time."
_WHOLE = "There is nothing to see on the way."
_MASKED = ("absorbing", "hybrid")  # kinds of noise that end in masks
_ROWS = {"row": "Rows of a table", "array": "Arrays of categories"}


class Words(NamedTuple):
  """What the page says."""

  title: str
  lead: str  # how examples are drawn, in a sentence or two
  start: str  # what the states of the sampler start as: "noise", "masks" or "nothing"


class _Way(NamedTuple):
  """How a family draws."""

  title: str  # after "Text" or "Maps"
  told: str
  start: str = "noise"


def words_for(section: Mapping[str, Any], example: str, position: str, *, watched: bool) -> Words:
  """Returns what the page says of a model.

  Args:
    section: of the configuration, `model`: its `kind` and parts.
    example: the kind of its examples: "text", "map", "row" or "array".
    position: what one position is called, such as "character".
    watched: whether the states of its sampler can be shown.

  Example:
    >>> words_for({"kind": "learned_masking"}, "text", "character", watched=True).title
    'Text out of masks'
  """
  way = _way(section, example, position)
  title = _ROWS.get(example) or f"{'Maps' if example == 'map' else 'Text'}{way.title}"
  marked = "What changed since the state before is marked. " if example == "text" else ""
  return Words(title, f"{way.told} {f'{marked}{_BACK}' if watched else _WHOLE}", way.start)


def _way(section: Mapping[str, Any], example: str, position: str) -> _Way:
  kind = section["kind"]
  each = f"Every {position}"
  if kind == "learned_masking" or (kind == "diffusion" and _noise(section) in _MASKED):
    also = ", and may change what is there" if kind == "diffusion" and _noise(section) == "hybrid" else ""
    return _Way(" out of masks", f"{each} starts as a mask; each step uncovers some of them{also}.", "masks")
  if kind == "diffusion":
    return _Way(" out of noise", f"{each} starts as a random category; each step may change any of them.")
  if kind == "autoregressive":
    return _Way(f", {position} by {position}", _in_order(example, position), "nothing")
  if kind == "block_diffusion":
    told = (
      f"Blocks of {section['block_length']} {position}s follow one another from left to right; those of a block are "
      "drawn one at a time, in a random order."
    )
    return _Way(", block by block", told, "nothing")
  return _FLOWS.get(kind, _Way("", "Examples are drawn whole."))


_FLOWS = {
  "argmax_flow": _Way(
    " by an argmax flow", "A flow draws continuous numbers, and which of them are the largest says the categories."
  ),
  "dequantized_flow": _Way(
    " by a dequantized flow", "A flow draws continuous numbers, which are rounded to categories."
  ),
  "latent_emission": _Way(
    " out of hidden numbers",
    "Hidden continuous numbers are drawn first; given all of them, each category is drawn by itself.",
  ),
  "discrete_flow": _Way(
    " by a discrete flow", "Categories are drawn from a base distribution, then turned into others by invertible steps."
  ),
  "denoising_flow": _Way(
    " by a denoising flow", "Ranks are drawn from a base distribution; each then becomes the category of that rank."
  ),
}


def _noise(section: Mapping[str, Any]) -> str:
  process = section.get("process") or {}
  return process.get("kind", "uniform") if isinstance(process, Mapping) else str(process)


def _in_order(example: str, position: str) -> str:
  where = {"map": "from the top left to the bottom right, row by row", "text": "from left to right"}
  return f"The model draws {where.get(example, 'from the first to the last')}, one {position} after the other."
