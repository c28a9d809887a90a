"""Makes the site: pages are gathered in build/pages, Sphinx turns them into build/site, and what it made is checked."""

import argparse
import os
import pathlib
import shutil
import sys

from docs.making import checks
from docs.making.keys import keys_page
from docs.making.links import BrokenLinkError, for_site
from docs.making.notebooks import notebook_for_site
from docs.making.places import BUILD, LANDING, NAVIGATION, ROOT, SHORT, sources
from docs.making.reference import experiments_page, flags_page, pretrained_page, python_pages

MADE = {
  "made:keys": keys_page,
  "made:experiments": experiments_page,
  "made:flags": flags_page,
  "made:pretrained": pretrained_page,
}


def main() -> int:
  """Returns the exit code: 0, or 1 where a link is broken or Sphinx warns."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument(
    "--output", type=pathlib.Path, default=BUILD / "site", help="folder of the site (default: build/site)"
  )
  parser.add_argument(
    "--execute", action="store_true", help="run the notebooks that have changed, and show what they gave"
  )
  parser.add_argument(
    "--external", action="store_true", help="ask whether addresses elsewhere are there, and make no site"
  )
  asked = parser.parse_args()
  pages = BUILD / "pages"
  try:
    gather(pages, execute=asked.execute)
  except BrokenLinkError as error:
    print(f"error: {error}", file=sys.stderr)
    return 1
  builder, output = ("linkcheck", BUILD / "links") if asked.external else ("html", asked.output)
  code = _sphinx(pages, builder, output)
  if asked.external or code:
    return code
  found = checks.faults(output)
  print("\n".join(found) or f"the site is in {os.path.relpath(output)}: open {os.path.relpath(output / 'index.html')}")
  return bool(found)


def gather(pages: pathlib.Path, *, execute: bool) -> None:
  """Writes all pages, as Sphinx reads them, into a folder; what has not changed is left alone, and not read again."""
  texts = dict(python_pages()) | {name: MADE[made]() for made, name in _made()}
  for path, name in sources():
    if path.suffix == ".ipynb":
      texts[name] = notebook_for_site(path, name, BUILD / "notebooks", execute=execute)
    else:
      texts[name] = for_site(path, name) + (navigation() if path == ROOT / LANDING else "")
  wanted = {pages / (name + (".ipynb" if text.startswith("{\n") else ".md")): text for name, text in texts.items()}
  for path, text in wanted.items():
    _write(path, text)
  for path in [each for suffix in ("*.md", "*.ipynb") for each in pages.rglob(suffix)]:
    if path not in wanted:
      path.unlink()
  (pages / "pictures").mkdir(exist_ok=True)
  for path in [*ROOT.glob("docs/*.png"), *ROOT.glob("docs/*.gif")]:
    shutil.copy2(path, pages / "pictures")


def navigation() -> str:
  """Returns the tables of contents that the landing page holds, one for each caption."""
  lines = []
  for caption, listed in NAVIGATION.items():
    lines += ["", "```{toctree}", ":hidden:", f":caption: {caption}", "", *map(_entry, listed.values()), "```"]
  return "\n".join(lines) + "\n"


def _entry(name: str) -> str:
  return f"{SHORT[name]} <{name}>" if name in SHORT else name


def _made() -> list[tuple[str, str]]:
  return [(made, name) for pages in NAVIGATION.values() for made, name in pages.items() if made in MADE]


def _write(path: pathlib.Path, text: str) -> None:
  if not path.exists() or path.read_text(encoding="utf-8") != text:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _sphinx(pages: pathlib.Path, builder: str, output: pathlib.Path) -> int:
  try:
    from sphinx.cmd.build import main as build
  except ImportError:
    print("error: Sphinx is not installed: pip install 'catgen[docs]'", file=sys.stderr)
    return 1
  settings = pathlib.Path(__file__).parent
  warnings = [] if builder == "linkcheck" else ["--fail-on-warning", "--keep-going"]
  words = ["-b", builder, "-c", settings, "-d", BUILD / "doctrees", "-q", *warnings, pages, output]
  return build([str(word) for word in words])


if __name__ == "__main__":
  sys.exit(main())
