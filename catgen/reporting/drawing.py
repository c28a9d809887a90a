"""What all pictures drawn with Pillow share: inks, fonts, a progress bar, saving. Pillow is imported late."""

import functools
import os
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from catgen.files import drawn
from catgen.reporting.charts import BLUE

PAPER, INK, QUIET, RAIL = "#FFFFFF", "#111827", "#6B7280", "#D5DBE3"


class Fonts(NamedTuple):
  """What a sheet is written in; those that come with matplotlib."""

  fixed: Any
  heading: Any
  small: Any


def load_fonts(size: int) -> Fonts:
  """Returns the fonts, `size` pixels high; headings are larger, remarks smaller."""
  from matplotlib import get_data_path
  from PIL import ImageFont

  folder = os.path.join(get_data_path(), "fonts", "ttf")
  sizes = {"DejaVuSansMono": size, "DejaVuSans-Bold": size + 4, "DejaVuSans": size - 5}
  return Fonts(*(ImageFont.truetype(os.path.join(folder, f"{name}.ttf"), high) for name, high in sizes.items()))


def missing_glyphs(characters: str, consequence: str) -> tuple[str, ...]:
  """Returns the warning that the fonts of pictures lack some characters, where there are any; and what comes of it."""
  shown = characters[:12] + (f"... ({len(characters):,} characters)" if len(characters) > 12 else "")
  return (f"the fonts of pictures have no {shown}; {consequence}",) if characters else ()


def boxed(names: Iterable[str]) -> tuple[str, ...]:
  """Returns the warning that a chart has boxes for some characters of the names in it, where there are any."""
  return missing_glyphs(undrawable(names), "charts have boxes in their place")


def undrawable(texts: Iterable[str]) -> str:
  """Returns the characters of texts, each once, that the fonts have no glyph for, such as those of Chinese.

  Controls, which are never drawn as they are, are none of them.
  """
  return _without_glyph("".join(sorted({c for text in texts for c in text if not c.isascii() and c.isprintable()})))


@functools.lru_cache
def _without_glyph(characters: str) -> str:
  if not characters:
    return ""
  from matplotlib import get_data_path
  from matplotlib.ft2font import FT2Font

  folder = os.path.join(get_data_path(), "fonts", "ttf")
  fonts = [FT2Font(os.path.join(folder, f"{name}.ttf")) for name in ("DejaVuSans", "DejaVuSansMono")]
  return "".join(each for each in characters if not all(font.get_char_index(ord(each)) for font in fonts))


def progress_bar(draw: Any, left: int | float, right: int | float, bottom: int, done: int | float) -> None:
  """Draws a bar of which the share `done` is filled; places are in pixels."""
  draw.rectangle((left, bottom - 8, right, bottom), fill=RAIL)
  if done:
    draw.rectangle((left, bottom - 8, left + done * (right - left), bottom), fill=BLUE)


def save_image(image: Any, path: str | os.PathLike[str], **options: Any) -> None:
  """Writes a picture; its ending says the format.

  Args:
    image: Pillow's.
    path: file to write.
    options: of the format, see Pillow.

  Raises:
    InputError: it cannot be written, or the ending is no picture format.
  """
  with drawn(path) as place:
    image.save(place, **options)


def save_animation(images: Sequence[Any], path: str | os.PathLike[str], milliseconds: int) -> None:
  """Writes a GIF that loops; the last frame stays for three seconds. See `save_image`."""
  durations = [milliseconds] * (len(images) - 1) + [3000]
  save_image(images[0], path, save_all=True, append_images=images[1:], duration=durations, loop=0, optimize=True)
