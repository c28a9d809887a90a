"""Links of the repository's Markdown as those of the site: to pages, to docstrings, to experiments."""

import ast
import functools
import os
import pathlib
import re
from collections.abc import Iterator

from docs.making.places import PAGES, ROOT

_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")
_CODE = re.compile(r"(?P<fence>`+)(?:(?!(?P=fence)).)+?(?P=fence)(?!`)")
_ELSEWHERE = re.compile(r"[a-z]+:")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")


class BrokenLinkError(ValueError):
  """A link to something that is not there."""


def prose(text: str) -> Iterator[tuple[int, str, bool]]:
  """Yields the lines of a Markdown text with their numbers, and whether each is prose: in no fence."""
  fence = ""
  for number, line in enumerate(text.splitlines(), 1):
    mark = _FENCE.match(line)
    if fence:
      yield number, line, False
      fence = "" if mark and mark[1].startswith(fence) else fence
    elif mark:
      fence = mark[1]
      yield number, line, False
    else:
      yield number, line, True


def links(path: pathlib.Path) -> Iterator[tuple[int, str, str]]:
  """Yields line number, text and target of the links in a Markdown file, those of pictures too."""
  for number, line, is_prose in prose(path.read_text(encoding="utf-8")):
    if is_prose:
      yield from ((number, found[2], found[3]) for found in _LINK.finditer(_CODE.sub(_hidden, line)))


def for_site(path: pathlib.Path, name: str) -> str:
  """Returns the text of a Markdown file as a page of the site; see `moved`."""
  return moved(path.read_text(encoding="utf-8"), path, name)


def moved(text: str, path: pathlib.Path, name: str) -> str:
  """Returns Markdown of a file with its links as those of a page of the site.

  Args:
    text: of the file, or a part of it.
    path: of the file.
    name: of the page, "howto/text".

  Raises:
    BrokenLinkError: a link leads nowhere.
  """
  lines = []
  for number, line, is_prose in prose(text):
    try:
      lines.append(_line_moved(line, path, name) if is_prose else line)
    except BrokenLinkError as error:
      raise BrokenLinkError(f"{path.relative_to(ROOT)}:{number}: {error}") from error
  return "\n".join(lines) + "\n"


def resolve(path: pathlib.Path, target: str) -> tuple[str, str]:
  """Returns what a link in a file means: a path in the repository and a fragment. Raises BrokenLinkError."""
  place, _, fragment = target.partition("#")
  found = (path.parent / place).resolve() if place else path
  if not found.exists() or not found.is_relative_to(ROOT.resolve()):
    raise BrokenLinkError(f"{target} does not exist")
  inside = found.relative_to(ROOT.resolve()).as_posix()
  if fragment and inside.endswith(".md") and fragment not in anchors(found):
    raise BrokenLinkError(f"{target}: there is no such heading")
  if fragment and inside.endswith(".py") and fragment not in names(found):
    raise BrokenLinkError(f"{target}: there is no such function or class")
  return inside, fragment


def anchors(path: pathlib.Path) -> set[str]:
  """Returns the anchors of the headings of a Markdown file, as repository viewers and the site make them."""
  found = set()
  for _, line, is_prose in prose(path.read_text(encoding="utf-8")):
    if is_prose and line.startswith("#"):
      heading = re.sub(r"[`*]|\]\([^)]*\)|\[", "", line.lstrip("# ")).strip().lower()
      found.add(re.sub(r"[^\w\- ]", "", heading).replace(" ", "-"))
    label_of = re.fullmatch(r"\(([\w-]+)\)=", line) if is_prose else None
    found |= {label_of[1]} if label_of else set()
  return found


@functools.cache
def title(path: pathlib.Path) -> str:
  """Returns the first heading of a Markdown file or a notebook."""
  text = path.read_text(encoding="utf-8")
  found = re.search(r"^# (.+)$", text, re.MULTILINE) or re.search(r'"# (.+?)(?:\\n)?"', text)
  return found[1] if found else path.stem


@functools.cache
def names(path: pathlib.Path) -> frozenset[str]:
  """Returns the names of a Python file's functions and classes, of their methods too: "Transformer.decode"."""
  found = set()
  for node in ast.parse(path.read_text(encoding="utf-8")).body:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
      found.add(node.name)
      found |= {f"{node.name}.{each.name}" for each in ast.iter_child_nodes(node) if isinstance(each, ast.FunctionDef)}
    elif isinstance(node, ast.Assign | ast.AnnAssign):
      targets = node.targets if isinstance(node, ast.Assign) else [node.target]
      found |= {each.id for each in targets if isinstance(each, ast.Name)}
  return frozenset(found)


def label(kind: str, name: str) -> str:
  """Returns the label of something that the program writes: label("config", "paper/text8_multinomial")."""
  return f"{kind}-{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')}"


def _line_moved(line: str, path: pathlib.Path, name: str) -> str:
  moved_line, end = "", 0
  for found in _LINK.finditer(_CODE.sub(_hidden, line)):  # what looks like a link in code is none
    parts = [line[slice(*found.span(group))] for group in (1, 2, 3)]
    moved_line += line[end : found.start()] + _moved(path, name, *parts)
    end = found.end()
  return moved_line + line[end:]


def _moved(path: pathlib.Path, name: str, picture: str, text: str, target: str) -> str:
  if _ELSEWHERE.match(target):
    return f"{picture}[{text}]({target})"
  inside, fragment = resolve(path, target)
  anchor = f"#{fragment}" if fragment else ""
  if picture or inside.endswith((".png", ".gif")):
    return (
      f"{picture}[{text}]({os.path.relpath('pictures/' + pathlib.Path(inside).name, os.path.dirname(name) or '.')})"
    )
  if inside in PAGES:
    text = title(ROOT / inside) if text.strip("`") == inside or text.strip("`") == target else text
    suffix = ".ipynb" if inside.endswith(".ipynb") else ".md"
    return f"[{text}]({os.path.relpath(PAGES[inside] + suffix, os.path.dirname(name) or '.')}{anchor})"
  plain = text.replace("`", "")
  if inside.startswith("catgen/pretrained/"):
    return f"[{text}](#{label('model', inside.split('/')[2])})"
  if inside.startswith("catgen/") and inside.endswith(".py"):
    module = inside.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    is_object = fragment and fragment[0] != "_" and not fragment.isupper()
    return f"{{py:obj}}`{plain} <{module}{'.' + fragment if is_object else ''}>`"
  if inside.startswith("configs/"):
    return f"[{text}](#{label('config', inside.removeprefix('configs/').removesuffix('.py'))})"
  return f"`{inside}`" if plain == inside else f"{text} (`{inside}`)"


def _hidden(found: re.Match[str]) -> str:
  return "`" * len(found[0])
