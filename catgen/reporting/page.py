"""A page of HTML that needs no other file: headings, sentences, tables, pictures."""

import base64
import html
import io
from collections.abc import Sequence
from typing import Any

from catgen.reporting.charts import render

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #111827; margin: 2rem auto; padding: 0 1rem; max-width: 62rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }
th, td { text-align: left; padding: .3rem .9rem .3rem 0; border-bottom: 1px solid #D5DBE3; vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
figure { margin: 1rem 0; } img { max-width: 100%; height: auto; } figcaption { color: #6B7280; font-size: .9rem; }
"""


def heading(text: str) -> str:
  """Returns a heading."""
  return f"<h2>{html.escape(text)}</h2>"


def sentences(text: str) -> str:
  """Returns a paragraph."""
  return f"<p>{html.escape(text)}</p>"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
  """Returns a table; what begins with a digit or a sign stands to the right."""
  titles = "".join(f"<th>{html.escape(each)}</th>" for each in header)
  lines = ["".join(_cell(each) for each in row) for row in rows]
  body = "".join(f"<tr>{line}</tr>\n" for line in lines)
  return f"<table>\n<thead><tr>{titles}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>"


def picture(figure: Any, caption: str) -> str:
  """Returns a figure of Matplotlib, inside the page, with a sentence below that also says it to who cannot see it."""
  content = io.BytesIO()
  render(figure, content, "png")
  coded, said = base64.b64encode(content.getvalue()).decode(), html.escape(caption, quote=True)
  return f'<figure><img alt="{said}" src="data:image/png;base64,{coded}"><figcaption>{said}</figcaption></figure>'


def page(title: str, blocks: Sequence[str]) -> bytes:
  """Returns the page of blocks that the functions here made."""
  named, body = html.escape(title), "\n".join(blocks)
  return (
    f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{named}</title>\n'
    f"<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{named}</h1>\n{body}\n</body>\n</html>\n"
  ).encode("utf-8", "replace")


def _cell(text: str) -> str:
  is_number = text[:1].isdigit() or (text[:1] in "+-" and text[1:2].isdigit())
  return f'<td class="number">{html.escape(text)}</td>' if is_number else f"<td>{html.escape(text)}</td>"
