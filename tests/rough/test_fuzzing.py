"""Whatever the bytes: a reader takes them or says in a line why not; soon, in little memory, and runs none of them.

Contents are those that a reader takes, changed in a few places, and bytes of any kind. `make fuzz` looks further,
guided by what the changes reach.
"""

import contextlib
import json
import os
import pathlib
import sys
import time
import tracemalloc

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from catgen.reporting.terminal import one_line
from tests.rough import fuzz
from tests.rough.readers import answered, readers

SECONDS = 5.0
MOST_MEMORY = 2**26  # bytes at once, of contents of some kB; tables of all characters take 2^22 each
PIECES = (
  b"", b"\0", b"\n", b"\r\n", b'"', b"[", b"]", b"{", b":", b",", b";", b"=", b"#", b"@", b"-", b"..", b"/", b"../../",
  b"NaN", b"1e999", b"-1", b"9" * 25, b"9" * 5000, b"[" * 2000, b"null", b"true", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe",
  "²".encode(), "🙂".encode(), b"\\ud800", b"__class__", b"(1,)", b"O", b"|O8", b">", b"PK\3\4",
)  # fmt: skip
VALUES = st.one_of(
  st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5),
  st.sampled_from([10**30, -1, 2**63, "../../x", "a\0b", "\ud800", [], {}, [[]], {"kind": "x"}]),
)  # fmt: skip
ENOUGH = settings(
  deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
FORBIDDEN = ("pickle.find_class", "os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "socket.connect")
INSIDE = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "shutil.rmtree")
_watching: list[pathlib.Path] = []


KNOWN = readers()
GUIDED = (  # a process takes ten seconds to begin; `make fuzz` goes through all
  "config.json", "scores", "arrays", "pictures", "rows", "text in any encoding", "tables of mappings",
  "JSON lines of samples",
)  # fmt: skip
OF_RUNS = ("config.json", "results.json, compared", "run of a checkpoint", "lock.json")


def _audit(event, arguments):
  if not _watching:
    return
  if event in FORBIDDEN:
    raise AssertionError(f"{event} {arguments}")
  writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
  if writes or event in INSIDE:
    path = pathlib.Path(os.fsdecode(arguments[0])).resolve()
    assert path.is_relative_to(_watching[0].resolve()), f"{event} {path}"


@pytest.fixture(scope="module", autouse=True)
def _audited():
  """Python has no way to take an audit hook back: it looks at nothing where no folder is watched."""
  sys.addaudithook(_audit)


@contextlib.contextmanager
def watched(folder):
  """Lets nothing in the block run code of the data, or write elsewhere; it must be quick and take little memory."""
  tracemalloc.start()
  _watching.append(folder)
  begun = time.monotonic()
  try:
    yield
    assert time.monotonic() - begun < SECONDS
    assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY
  finally:
    _watching.clear()
    tracemalloc.stop()


@st.composite
def changed(draw, contents):
  """Returns a content with up to four changes: bytes replaced, removed, repeated, or pieces put in."""
  content = draw(st.sampled_from(contents))
  for _ in range(draw(st.integers(1, 4))):
    start = draw(st.integers(0, len(content)))
    stop = draw(st.integers(start, min(len(content), start + 40)))
    piece = draw(st.sampled_from(PIECES) | st.binary(max_size=4) | st.just(content[start:stop] * 2))
    content = content[:start] + piece + content[stop:]
  return content


@st.composite
def with_another_value(draw, content):
  """Returns a JSON content in which one value, at any depth, is another one."""
  whole = {"": json.loads(content)}
  inner, key = whole, ""
  while isinstance(inner[key], dict | list) and inner[key] and draw(st.integers(0, 5)):
    inner, key = (
      inner[key],
      draw(st.sampled_from(list(range(len(inner[key])) if isinstance(inner[key], list) else inner[key]))),
    )
  inner[key] = draw(VALUES)
  return json.dumps(whole[""]).encode()


def check(reader, content, folder):
  with watched(folder):
    line = answered(reader, content, folder)
  assert line is None or (line.strip() and "\n" not in one_line(line))


def any_content(contents):
  return changed(contents) | st.binary(max_size=200) | st.sampled_from(PIECES)


def few_or_many(few):
  """Returns how many examples are tried: few, and in the slow suite many."""
  return pytest.mark.parametrize("number", [few, pytest.param(300, marks=pytest.mark.slow)])


@few_or_many(4)
@pytest.mark.parametrize("name", KNOWN)
def test_any_bytes_are_taken_or_refused_in_a_line(name, number, tmp_path):
  @given(any_content(KNOWN[name].contents))
  @settings(ENOUGH, max_examples=number)
  def some(content):
    check(KNOWN[name], content, tmp_path)

  some()


@few_or_many(8)
@pytest.mark.parametrize("name", OF_RUNS)
def test_any_value_in_a_work_directory_is_taken_or_refused_in_a_line(name, number, tmp_path):
  @given(with_another_value(KNOWN[name].contents[0]))
  @settings(ENOUGH, max_examples=number)
  def some(content):
    check(KNOWN[name], content, tmp_path)

  some()


@pytest.mark.slow
@pytest.mark.parametrize("name", GUIDED)
def test_bytes_that_reach_further_are_taken_or_refused_in_a_line(name, tmp_path, monkeypatch):
  pytest.importorskip("atheris")
  monkeypatch.chdir(tmp_path)
  ended = fuzz.started(name, 5)
  assert ended.returncode == 0, ended.stdout + ended.stderr
