"""Formulas as MathML, made when the site is built: no script, no font, nothing fetched."""

import re
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util import logging

_LOG = logging.getLogger(__name__)


def visit_inline(self: Any, node: nodes.math) -> None:
  """Writes a formula within a line."""
  self.body.append(_made(self, node, as_block=False))
  raise nodes.SkipNode


def visit_block(self: Any, node: nodes.math_block) -> None:
  """Writes a formula that stands alone, which may be moved sideways where the window is narrow."""
  self.body.append(f'<div class="formula">{_made(self, node, as_block=True)}</div>')
  raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
  """Registers the renderer under the name "mathml"."""
  app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
  return {"parallel_read_safe": True, "parallel_write_safe": True}


def _made(self: Any, node: nodes.Element, *, as_block: bool) -> str:
  text = node.astext().strip()
  text = re.sub(r"\\tag\{(\w+)\}", r"\\qquad\\text{(\1)}", text)
  if as_block and ("&" in text or r"\\" in text) and r"\begin" not in text:
    text = rf"\begin{{aligned}}{text}\end{{aligned}}"
  try:
    return convert(text, display="block" if as_block else "inline")
  except Exception as error:
    _LOG.warning("this formula cannot be written as MathML: %s: %s", " ".join(str(error).split()), text, location=node)
    return self.encode(text)
