"""Label maps as PNG files: reading the integers that are stored, and making maps smaller by nearest neighbors."""

import io
import struct
from typing import NamedTuple

import numpy as np
from jaxtyping import Shaped, UInt8, UInt16

from catgen.interfaces import InputError

_HEADER = struct.Struct(">8x4x4s2I2B")  # signature, length, "IHDR", width, height, bit depth, color type
_GRAY, _PALETTE = 0, 3


class LabelImage(NamedTuple):
  """The label ids of a map, and the colors that the file gives them."""

  ids: UInt8[np.ndarray, "height width"] | UInt16[np.ndarray, "height width"]
  colors: tuple[str, ...]  # "#rrggbb" of ids 0, 1, ...; empty for a gray file


def read_png(content: bytes, place: str) -> LabelImage:
  """Returns the integers of a PNG with a palette or gray levels of 1 to 16 bits, as stored; `place` names the file.

  Raises InputError for what is no PNG, is damaged, or has several channels.
  """
  from PIL import Image

  if not content.startswith(b"\x89PNG\r\n\x1a\n") or len(content) < _HEADER.size:
    raise InputError(f"{place} is no PNG file; label maps are PNG files of one channel")
  _, _, _, depth, kind = _HEADER.unpack_from(content)
  if kind not in (_GRAY, _PALETTE):
    raise InputError(f"{place} has several channels (colors or transparency); save the label ids as one gray channel")
  try:
    with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
      stored, palette = np.asarray(image), image.getpalette() if kind == _PALETTE else None
  except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
    raise InputError(f"{place} cannot be read ({error}); it is damaged: fetch or write it again") from error
  if kind == _GRAY and depth in (2, 4):
    stored = stored // (255 // (2**depth - 1))  # Pillow spreads gray levels of few bits over 0 to 255
  ids = stored.astype(np.uint16 if depth == 16 else np.uint8)
  return LabelImage(ids, tuple("#" + bytes(color).hex() for color in np.reshape(palette or [], (-1, 3)).tolist()))


def nearest(
  ids: Shaped[np.ndarray, "height width"], shape: tuple[int, int], *, crop: bool = False
) -> Shaped[np.ndarray, "rows columns"]:
  """Returns a map of another size, every pixel with the value of one pixel of `ids`: the one under its center.

  Pixel i of n, of a side of m pixels, is pixel floor((i + 1/2) m / n). With `crop` the largest central part of the
  map that has the proportions of `shape` is taken first, so that nothing is squeezed.
  """
  height, width = ids.shape
  if crop:
    rows, columns = shape
    kept = (min(height, width * rows // columns), min(width, height * columns // rows))
    up, left = ((whole - part) // 2 for whole, part in zip(ids.shape, kept, strict=True))
    ids = ids[up : up + kept[0], left : left + kept[1]]
    if not ids.size:
      raise InputError(
        f"a map of {height} x {width} has no part of the proportions of {rows} x {columns}; change shape"
      )
  chosen = [(2 * np.arange(n) + 1) * m // (2 * n) for m, n in zip(ids.shape, shape, strict=True)]
  return ids[np.ix_(*chosen)]
