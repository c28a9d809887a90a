"""The source of every module as a page with a line's number as its anchor; no part of the search."""

from collections.abc import Iterator

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer
from sphinx.application import Sphinx

from docs.making.places import ROOT


def pages(app: Sphinx) -> Iterator[tuple[str, dict[str, str], str]]:
  """Yields name, content and template of each page."""
  formatter = HtmlFormatter(
    cssclass="highlight source-of-module", linenos="inline", lineanchors="line", anchorlinenos=True
  )
  for path in sorted((ROOT / "catgen").rglob("*.py")):
    name = path.relative_to(ROOT).as_posix()
    body = f"<h1>{name}</h1>\n{highlight(path.read_text(encoding='utf-8'), PythonLexer(), formatter)}"
    yield f"source/{name}", {"title": name, "body": body}, "page.html"


def setup(app: Sphinx) -> dict[str, bool]:
  """Adds the pages to those of the site."""
  app.connect("html-collect-pages", pages)
  return {"parallel_read_safe": True, "parallel_write_safe": True}
