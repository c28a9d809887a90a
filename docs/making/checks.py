"""What must hold of the site that was made: every link within it leads somewhere, and nothing comes from elsewhere."""

import html.parser
import pathlib
import urllib.parse
from typing import NamedTuple


class Page(NamedTuple):
  """What a page refers to, and what can be referred to in it."""

  anchors: set[str]
  links: list[str]
  fetched: list[str]  # what a browser asks for when it shows the page


class _Parser(html.parser.HTMLParser):
  def __init__(self) -> None:
    super().__init__()
    self.page = Page(set(), [], [])

  def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
    found = {name: value for name, value in attrs if value is not None}
    self.page.anchors.update(value for name, value in found.items() if name in ("id", "name"))
    if tag == "a" and "href" in found:
      self.page.links.append(found["href"])
    elif tag == "link" and found.get("rel") not in ("canonical",) and "href" in found:
      self.page.fetched.append(found["href"])
    elif "src" in found:
      self.page.fetched.append(found["src"])


def read(path: pathlib.Path) -> Page:
  """Returns what a page holds."""
  parser = _Parser()
  parser.feed(path.read_text(encoding="utf-8"))
  return parser.page


def faults(folder: pathlib.Path) -> list[str]:
  """Returns a line for each link that leads nowhere, and for each thing that a page would fetch from elsewhere."""
  pages = {path.resolve(): read(path) for path in sorted(folder.rglob("*.html"))}
  found = []
  for path, page in pages.items():
    where = path.relative_to(folder.resolve())
    found += [f"{where} fetches {each}" for each in page.fetched if _is_elsewhere(each)]
    local = [
      each
      for each in [*page.links, *page.fetched]
      if not _is_elsewhere(each) and not each.startswith(("mailto:", "data:"))
    ]
    found += [
      f"{where} links to {each}, which is not there" for each in dict.fromkeys(local) if not _leads(path, each, pages)
    ]
  for path in sorted(folder.rglob("*.css")):
    text = path.read_text(encoding="utf-8")
    found += [f"{path.name} fetches from elsewhere" for mark in ("url(http", "url(//", "@import") if mark in text]
  return found


def _is_elsewhere(address: str) -> bool:
  return address.startswith(("http:", "https:", "//"))


def _leads(path: pathlib.Path, address: str, pages: dict[pathlib.Path, Page]) -> bool:
  place, _, fragment = address.partition("#")
  target = (path.parent / urllib.parse.unquote(place.partition("?")[0])).resolve() if place else path
  target = target / "index.html" if target.is_dir() else target
  if not target.exists():
    return False
  return (
    not fragment
    or target not in pages
    or urllib.parse.unquote(fragment) in pages[target].anchors
    or path.name == "search.html"
  )
