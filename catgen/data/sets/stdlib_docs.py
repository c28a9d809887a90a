"""The embedded default data set: the English documentation that comes with every CPython.

Its text are the language reference that `help()` shows (`pydoc_data.topics`) and the docstrings of the standard
library's sources, reduced to text8's 27 characters: about 1.6 to 1.8 million of them. They differ between versions
of Python and between distributions that leave modules out, so results state the fingerprint.
"""

import ast
import os
import platform
import re
import sysconfig
import warnings
from collections.abc import Iterable, Iterator

import numpy as np

from catgen.data.characters import TEXT8_ALPHABET, reduce_to_text8
from catgen.data.codecs import alphabet_codec
from catgen.data.splits import NAMES, fingerprint, hash_fraction, split_of, stream_split
from catgen.interfaces import EventSpec, InputError
from catgen.sources import DataSource

FRACTIONS = (0.9, 0.05, 0.05)
SMALLEST = 200_000  # characters; below, something is missing from this Python
REPEATED = 32  # characters; sentences at least this long are kept once only
SENTENCE_END = r"\n\s*\n|(?<=[.:;])\s+"  # a blank line, or white space after a full stop or the like
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
# tests, programs and bundles; several of them are separate packages in some distributions
SKIPPED_FOLDERS = frozenset(
  ("__pycache__", "dist-packages", "ensurepip", "idlelib", "lib-dynload", "lib2to3", "pydoc_data", "site-packages")
  + ("idle_test", "test", "tests", "turtledemo")
)


def stdlib_docs(length: int = 256) -> DataSource:
  """Returns the documentation inside this Python as three streams, cut into sequences of `length` characters.

  The split is by document, which is a topic of the reference or a module's file: a hash of its name decides, so that
  held-out text never continues a training document. A sentence that occurs again, in whatever document, is left
  out there. Takes about two seconds.

  Args:
    length: characters of a sequence, at least 1.
  """
  documents = unrepeated([*_topics(), *_module_documents(sysconfig.get_path("stdlib"))])
  size = sum(map(len, documents.values()))
  if size < SMALLEST:
    raise InputError(
      f"this Python brings only {size:,} characters of documentation, {SMALLEST:,} are needed; "
      'use a full CPython installation, or data of your own through "text_file"'
    )
  return _documents_source(documents, length, f"documentation inside Python {platform.python_version()}")


def _documents_source(documents: dict[str, str], length: int, title: str) -> DataSource:
  """Returns a source over text8's alphabet, split by document at about 90/5/5."""
  codec = alphabet_codec(TEXT8_ALPHABET)
  streams = {
    name: codec.encode(" ".join(documents[title] for title in titles)).astype(np.uint8)
    for name, titles in split_documents(documents).items()
  }
  for name, stream in streams.items():
    if len(stream) < length:
      raise InputError(f"the {name} split has {len(stream):,} characters, fewer than length = {length}; lower length")
  sizes = ", ".join(f"{name} {len(stream):,}" for name, stream in streams.items())
  return DataSource(
    event=EventSpec((length,), len(TEXT8_ALPHABET)),
    splits={name: stream_split(stream, length) for name, stream in streams.items()},
    codec=codec,
    position="character",
    bytes_per_position=1.0,
    fingerprint=fingerprint({name: [stream] for name, stream in streams.items()}, len(TEXT8_ALPHABET)),
    description=f"{title}: {len(documents)} documents, {sizes} characters",
  )


def split_documents(titles: Iterable[str]) -> dict[str, list[str]]:
  """Returns the titles of each split, about 90, 5 and 5 percent, by a hash of the title, in the order of that hash."""
  # the prefix was chosen among a dozen by the sizes alone: near 90/5/5 on CPython 3.11 and 3.12
  fractions = {title: hash_fraction(f"document {title}".encode()) for title in titles}
  ordered = sorted(fractions, key=lambda title: fractions[title])
  owner = split_of(np.array([fractions[title] for title in ordered]), FRACTIONS)
  return {name: [title for title, i in zip(ordered, owner, strict=True) if i == k] for k, name in enumerate(NAMES)}


def unrepeated(documents: Iterable[tuple[str, list[str]]]) -> dict[str, str]:
  """Returns each document's text in text8's characters, without the sentences that an earlier one has."""
  seen: set[str] = set()
  kept: dict[str, str] = {}
  for title, texts in documents:
    sentences = [reduce_to_text8(part) for text in texts for part in re.split(SENTENCE_END, text)]
    new = []
    for sentence in sentences:
      if sentence and sentence not in seen:
        new.append(sentence)
      if len(sentence) >= REPEATED:
        seen.add(sentence)
    if new:
      kept[title] = " ".join(new)
  return kept


def _topics() -> list[tuple[str, list[str]]]:
  try:
    from pydoc_data.topics import topics
  except ImportError:  # some distributions leave it out
    return []
  return [(f"topic {name}", [topics[name]]) for name in sorted(topics)]


def _module_documents(folder: str) -> Iterator[tuple[str, list[str]]]:
  """Yields (path inside the library, docstrings in the order of the source) of every module that has any."""
  for path in sorted(_source_files(folder)):
    try:
      with open(path, "rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(file.read())
    except (OSError, SyntaxError, ValueError):  # samples of bad code; they hold no documentation
      continue
    docstrings = _docstrings(tree)
    if docstrings:
      yield os.path.relpath(path, folder).replace(os.sep, "/"), docstrings


def _source_files(folder: str) -> Iterator[str]:
  for place, folders, files in os.walk(folder):
    folders[:] = [name for name in folders if name not in SKIPPED_FOLDERS]
    yield from (os.path.join(place, name) for name in files if name.endswith(".py"))


def _docstrings(tree: ast.Module) -> list[str]:
  """Returns the docstrings in the order of the source; only statements are visited, a third of `ast.walk`'s time."""
  found = []
  waiting: list[ast.AST] = [tree]
  while waiting:
    node = waiting.pop()
    if isinstance(node, DOCUMENTED):
      docstring = ast.get_docstring(node)
      if docstring:
        found.append(docstring)
    below = [getattr(node, field, None) for field in ("body", "orelse", "handlers", "finalbody")]
    waiting += [child for children in reversed(below) if isinstance(children, list) for child in reversed(children)]
  return found
