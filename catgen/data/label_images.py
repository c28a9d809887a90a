"""Label maps as PNG files: the integers or the colors that are stored, and making maps smaller by nearest neighbors."""

import io
import re
import struct
import warnings
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Shaped, UInt8, UInt16, UInt32

from catgen.interfaces import InputError

_HEADER = struct.Struct(">8x4x4s2I2B")  # signature, length, "IHDR", width, height, bit depth, color type
_GRAY, _PALETTE = 0, 3
_OTHERS = {b"\xff\xd8\xff": "JPEG", b"GIF8": "GIF", b"BM": "BMP", b"II*\0": "TIFF", b"MM\0*": "TIFF", b"RIFF": "WebP"}

PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp")  # endings of files of one picture


class LabelImage(NamedTuple):
  """The label ids of a map, and the colors that the file gives them."""

  ids: UInt8[np.ndarray, "height width"] | UInt16[np.ndarray, "height width"]
  colors: tuple[str, ...]  # "#rrggbb" of ids 0, 1, ...; empty for a gray file


def read_png(content: bytes, place: str) -> LabelImage:
  """Returns the integers of a PNG with a palette or gray levels of 1 to 16 bits, as stored; `place` names the file.

  Raises InputError for what is no PNG, is damaged, or has several channels.
  """
  depth, kind = _header(content, place)
  if kind not in (_GRAY, _PALETTE):
    raise InputError(
      f"{place} has several channels (colors or transparency); save the label ids as one gray channel, or say which "
      'color is which category, by colors or by mapping="#rrggbb:0 ..."'
    )
  stored, palette = _decoded(content, place, lambda image: (np.asarray(image), image.getpalette()))
  if kind == _GRAY and depth in (2, 4):
    stored = stored // (255 // (2**depth - 1))  # Pillow spreads gray levels of few bits over 0 to 255
  ids = stored.astype(np.uint16 if depth == 16 else np.uint8)
  palette = np.reshape((palette or []) if kind == _PALETTE else [], (-1, 3)).tolist()
  return LabelImage(ids, tuple("#" + bytes(color).hex() for color in palette))


def read_png_colors(content: bytes, place: str) -> UInt32[np.ndarray, "height width"]:
  """Returns the colors of a PNG of any kind with up to 8 bits a channel, as `color_codes`; `place` names the file."""
  depth, _ = _header(content, place)
  if depth == 16:
    raise InputError(f"{place} has 16 bits a channel, more than colors #rrggbb; save it with 8")
  return color_codes(_decoded(content, place, lambda image: np.asarray(image.convert("RGBA"))))


def has_channels(content: bytes, place: str) -> bool:
  """Returns whether a PNG has several channels: colors, or transparency."""
  return _header(content, place)[1] not in (_GRAY, _PALETTE)


def color_codes(channels: UInt8[np.ndarray, "*shape channels"]) -> UInt32[np.ndarray, "*shape"]:
  """Returns colors, red, green, blue and perhaps opacity, as numbers: 0xrrggbb where opaque, see `color_code`."""
  red, green, blue, *opacity = np.moveaxis(channels, -1, 0).astype(np.uint32)
  codes = red << 16 | green << 8 | blue
  return codes | (255 - opacity[0]) << 24 if opacity else codes


def color_code(color: str) -> int:
  """Returns the number of "#rrggbb", or of "#rrggbbaa" with an opacity; raises InputError for another text.

  >>> hex(color_code("#804080")), hex(color_code("#804080ff")), hex(color_code("#80408000"))
  ('0x804080', '0x804080', '0xff804080')
  """
  if not re.fullmatch("#[0-9a-fA-F]{6}([0-9a-fA-F]{2})?", color):
    raise InputError(f"color {color!r} is not of the form #rrggbb; correct it")
  return int(color[1:7], 16) | (255 - int(color[7:] or "ff", 16)) << 24


def color_name(code: int) -> str:
  """Returns "#rrggbb" of the number of a color, or "#rrggbbaa" where it is not opaque."""
  return f"#{code & 0xFFFFFF:06x}" + (f"{255 - (code >> 24):02x}" if code >> 24 else "")


def _header(content: bytes, place: str) -> tuple[int, int]:
  """Returns bit depth and color type of a PNG."""
  if not content.startswith(b"\x89PNG\r\n\x1a\n") or len(content) < _HEADER.size:
    found = next((name for start, name in _OTHERS.items() if content.startswith(start)), None)
    more = f" but {found}, whose label ids are not exact" if found == "JPEG" else f" but {found}" if found else ""
    raise InputError(f"{place} is no PNG file{more}; label maps are PNG files of one channel")
  _, _, _, depth, kind = _HEADER.unpack_from(content)
  return depth, kind


def _decoded(content: bytes, place: str, read: Callable[[Any], Any]) -> Any:
  """Returns what is read of an image."""
  from PIL import Image

  try:
    with warnings.catch_warnings():
      warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # half of what Pillow refuses
      with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
        return read(image)
  except Image.DecompressionBombError as error:
    raise InputError(f"{place} is too large: {error}; cut it into smaller maps") from error
  except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error) as error:
    raise InputError(f"{place} cannot be read ({error}); it is damaged: fetch or write it again") from error


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
