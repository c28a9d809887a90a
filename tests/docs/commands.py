"""The commands that a reader of the documentation would type, found in its code blocks and in its lines."""

import pathlib
import re
import shlex
from collections.abc import Iterator
from typing import NamedTuple

from docs.making.links import prose

ROOT = pathlib.Path(__file__).parent.parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "catgen" / "pretrained").rglob("*.md")])
_START = re.compile(r"python -m (launch|benchmarks)\.[a-z_]+|catgen [a-z_]+(?= |$)|launch\.[a-z_]+(?= --)|\.\.\. --")
_SPAN = re.compile(r"`([^`]+)`")
_PLACE, _NUMBER = re.compile(r"(?:^|\s)\.\.\.(?=\s|$)"), re.compile(r"(?<==)[NM]\b")  # what a reader fills in
_LOOP = re.compile(r"for (\w+) in (.+?); do")


class Command(NamedTuple):
  """A command as it is typed."""

  page: str
  line: int
  words: tuple[str, ...]  # "train", "--config=quickstart", ...; the first is the command's name


def commands(path: pathlib.Path) -> Iterator[Command]:
  """Yields the commands of a page, those in loops of the shell once for each value."""
  page, block, loops = path.relative_to(ROOT).as_posix(), "", dict[str, list[str]]()
  for number, line, is_prose in prose(path.read_text(encoding="utf-8")):
    if is_prose and not line.startswith("    "):
      block, loops = "", {}
      for span in _SPAN.findall(line):
        yield from _of(page, number, span, {})
      continue
    block += line.strip()
    if block.endswith("\\"):
      block = block[:-1]
      continue
    loops |= {name: values.split() for name, values in _LOOP.findall(block)}
    yield from _of(page, number, block, loops)
    block = ""


def _of(page: str, number: int, text: str, loops: dict[str, list[str]]) -> Iterator[Command]:
  for start in _START.finditer(text):
    typed = re.split(r"\s(?:&|\||;|#|>|2>|\()|;|(?<=\w),? then |\)$", text[start.start() :], maxsplit=1)[0]
    name, _, rest = typed.removeprefix("python -m ").replace("catgen ", "launch.", 1).partition(" ")
    if typed.startswith("..."):  # of training, whatever the data
      usual = "text_file" if "--config.data." in typed else "quickstart"
      name, rest = "launch.train", f"--config={usual} {typed[4:]}"
    for version in _versions(_PLACE.sub("", _NUMBER.sub("3", rest)), loops):
      yield Command(page, number, (name, *shlex.split(version)))


def _versions(text: str, loops: dict[str, list[str]]) -> list[str]:
  """Returns a text with the variables of the shell's loops replaced by each of their values."""
  for name, values in loops.items():
    if f"${name}" in text:
      return [each for value in values for each in _versions(text.replace(f"${name}", value), {**loops, name: []})]
  return [text]
