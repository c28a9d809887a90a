"""What users hand in to the methods of a run: one example where one is meant, and several as a sequence of them."""

from collections.abc import Mapping, Sized
from typing import Any

import numpy as np

from catgen.data.tabular.parquet import columns_of_frame
from catgen.interfaces import InputError
from catgen.media import Media
from catgen.media.medium import integers_of
from catgen.runs.argument_types import shown


def several(media: Media, shape: tuple[int, ...], examples: Any) -> Any:
  """Returns examples that are handed in as a sequence of them: a text, a row or an array by itself is one.

  A text is never read letter by letter, a dict never key by key, nor an array of one example position by position.

  Args:
    media: of the model.
    shape: of an event.
    examples: a text or several, an array [*event] or [examples, *event]; of tables rows or a data frame.

  Returns:
    What `Media.typed` takes.

  Raises:
    InputError: it is neither one example nor a sequence of them, or there is none.
  """
  of_text, of_rows = media.parse is not None, media.filled is not None
  if of_text and getattr(examples, "shape", None) and not isinstance(examples, np.ndarray):  # of JAX, or of a frame
    if getattr(examples, "columns", None) is not None:
      raise InputError('the examples are a data frame, and this model is of text; give one column, frame["name"]')
    examples = np.asarray(examples)
  if isinstance(examples, np.ndarray) and examples.dtype.kind in "UTO":
    examples = examples.tolist()
  if isinstance(examples, str | bytes):
    if not of_text:
      kind = "rows" if of_rows else f"arrays of shape {shape}"
      raise InputError(f"{shown(examples)} is a text, and this model is of {kind}; name a file by input=")
    return [examples]
  if isinstance(examples, Mapping):
    if not of_rows:
      raise InputError(f"examples are a dict, and this model is of {media.name}; give them as a list")
    return examples if columns_of_frame(examples) is not None else [examples]
  found = getattr(examples, "shape", None)  # of arrays, and of frames and their rows
  if not isinstance(examples, Sized) or isinstance(examples, set | frozenset) or found == ():
    raise InputError(f"the examples are {shown(examples)}; give a list of them")
  if not len(examples):
    raise InputError("there is nothing to score; give at least one example")
  if not of_text and not of_rows:
    examples = integers_of(examples, "the example")
    found = examples.shape
  if found is not None and (tuple(found) == shape or (of_text and len(found) == 1)):  # a text may be short
    examples = [examples]
  return examples
