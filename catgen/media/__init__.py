"""How one kind of example is typed, shown, written, pictured and counted. "Text or map?" is asked here alone."""

import numpy as np

from catgen.interfaces import EventSpec
from catgen.media.maps import maps_media
from catgen.media.medium import Media
from catgen.media.tables import tables_media
from catgen.media.text import text_media
from catgen.media.values import values_media
from catgen.sources import Codec

__all__ = ["Media", "media_of"]


def media_of(event: EventSpec, codec: Codec, position: str) -> Media:
  """Returns what examples are to people: rows of tables by the kind of codec, text where it gives strings, maps where
  they are planes, else arrays.

  position: what one position is called, "character".
  """
  if codec.spec["kind"] == "table":
    return tables_media(event, codec, position)
  if isinstance(codec.decode(np.zeros(event.shape, np.int32)), str):
    return text_media(event, codec, position)
  return (maps_media if len(event.shape) == 2 else values_media)(event, codec, position)
