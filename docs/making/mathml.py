"""Formulas as MathML, made when the site is built: no script, no font, nothing fetched."""

import re
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util import logging

_LOG = logging.getLogger(__name__)
# Browsers know letters of other kinds, and no longer the attribute that would make them of plain ones. Kind -> where
# "A" is, and the letters that are elsewhere.
_LETTERS = {
  "mathcal": (0x1D49C, dict(zip("BEFHILMR", "ℬℰℱℋℐℒℳℛ", strict=True))),  # noqa: RUF001
  "mathbb": (0x1D538, dict(zip("CHNPQRZ", "ℂℍℕℙℚℝℤ", strict=True))),  # noqa: RUF001
}
_CHANGES = (
  (r"\\[bB]ig(?![A-Za-z])", ""),  # without a font for formulas these are twice too large
  (r"\\tag\{(\w+)\}", r"\\qquad\\text{(\1)}"),
  (r"\\arg\b ?", r"\\text{arg}\\,"),
  (r"(\\(?:log|exp|cos|max|det)(?:_(?:\w|\{[^}]*\}))?) ?(?=[A-Za-z\\])", r"\1\\,"),  # log p, not logp
)


def visit_inline(self: Any, node: nodes.math) -> None:
  """Writes a formula within a line."""
  self.body.append(_made(self, node, "inline"))
  raise nodes.SkipNode


def visit_block(self: Any, node: nodes.math_block) -> None:
  """Writes a formula that stands alone, which may be moved sideways where the window is narrow."""
  self.body.append(f'<div class="formula">{_made(self, node, "block")}</div>')
  raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
  """Registers the renderer under the name "mathml"."""
  app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
  return {"parallel_read_safe": True, "parallel_write_safe": True}


def _made(self: Any, node: nodes.Element, display: str) -> str:
  text = node.astext().strip()
  for pattern, change in _CHANGES:
    text = re.sub(pattern, change, text)
  text = re.sub(r"\\(mathcal|mathbb) ?(?:\{([A-Z])\}|([A-Z]))", _letter, text)
  if display == "block" and ("&" in text or r"\\" in text) and r"\begin" not in text:
    text = rf"\begin{{aligned}}{text}\end{{aligned}}"
  try:
    return convert(text, display=display)
  except Exception as error:
    _LOG.warning("this formula cannot be written as MathML: %r: %s", error, text, location=node)
    return self.encode(text)


def _letter(found: re.Match[str]) -> str:
  letter, (first, others) = found[2] or found[3], _LETTERS[found[1]]
  return others.get(letter) or chr(first + ord(letter) - ord("A"))
