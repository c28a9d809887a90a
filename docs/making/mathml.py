"""Formulas as MathML, made when the site is built: no script, no font, nothing fetched."""

import re
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util import logging

_LOG = logging.getLogger(__name__)
# Browsers know letters of a script, and no longer the attribute that would make them of others.
_SCRIPT = {"B": "ℬ", "E": "ℰ", "F": "ℱ", "H": "ℋ", "I": "ℐ", "L": "ℒ", "M": "ℳ", "R": "ℛ"}  # noqa: RUF001
_FIRST_SCRIPT = 0x1D49C  # of "A"


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
  text = re.sub(r"\\[bB]ig(?![A-Za-z])", "", text)  # without a font for formulas these are twice too large
  text = re.sub(r"\\mathcal ?(?:\{([A-Z])\}|([A-Z]))", lambda found: _script(found[1] or found[2]), text)
  text = re.sub(r"\\tag\{(\w+)\}", r"\\qquad\\text{(\1)}", text)
  if display == "block" and ("&" in text or r"\\" in text) and r"\begin" not in text:
    text = rf"\begin{{aligned}}{text}\end{{aligned}}"
  try:
    return convert(text, display=display)
  except Exception as error:
    _LOG.warning("this formula cannot be written as MathML: %r: %s", error, text, location=node)
    return self.encode(text)


def _script(letter: str) -> str:
  return _SCRIPT.get(letter) or chr(_FIRST_SCRIPT + ord(letter) - ord("A"))
