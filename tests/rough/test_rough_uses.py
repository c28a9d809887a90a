"""Every row of the table ends with exit code 2 and its one line, soon, and leaves everything as it was."""

import contextlib
import inspect
import pathlib
import shlex
import shutil
import signal

import pytest

from catgen.runs import command
from catgen.training import distributed
from launch import main
from tests.rough import shelf
from tests.rough.damaged import DAMAGED
from tests.rough.table import ROWS

SECONDS = 20
LIKE_OTHERS = {  # and long, since much is loaded or made before they are refused
  "a directory below a file",
  "no checkpoint kept",
  "another alphabet",
  "a larger event",
  "data with a zero in their path",
  "a split that is a path",
  "checkpoints that do not say of what",
  "checkpoints nested too deeply",
  "numbers of a validation nested too deeply",
}


def in_turn(names):
  return [pytest.param(name, marks=pytest.mark.slow if name in LIKE_OTHERS else ()) for name in names]


@pytest.fixture(scope="module")
def places(workdir, map_workdir, text, maps, tmp_path_factory):
  """The places that rows name, as texts."""
  folder = tmp_path_factory.mktemp("shelf")
  shelf.write(folder)
  return {"run": workdir, "maps": map_workdir, "text": str(text), "data": str(maps), "shelf": str(folder)}


@pytest.fixture(autouse=True)
def _this_process_is_alone(monkeypatch):
  """JAX looks for a cluster only before it has been used."""
  join = distributed.initialize
  monkeypatch.setattr(distributed, "initialize", lambda *words, **told: join(*words) if any(words) else None)


@pytest.fixture(scope="module", autouse=True)
def _runs_are_loaded_once(places):
  """Loading a run takes longer than refusing what is asked of it."""
  load, loaded = command.load, {}

  def load_once(workdir, **options):
    if workdir not in places.values():
      return load(workdir, **options)
    name = (workdir, *(str(value) for key, value in options.items() if key != "say"))
    if name not in loaded:
      loaded[name] = load(workdir, **options)
    return loaded[name]

  load_once.__signature__, load_once.__doc__ = inspect.signature(load), load.__doc__
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(command, "load", load_once)
    yield


@contextlib.contextmanager
def soon():
  """Ends what hangs."""

  def give_up(*_):
    raise TimeoutError(f"no answer within {SECONDS} seconds")

  before = signal.signal(signal.SIGALRM, give_up)
  signal.alarm(SECONDS)
  try:
    yield
  finally:
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def content(folder):
  return {path: path.read_bytes() for path in sorted(pathlib.Path(folder).rglob("*")) if path.is_file()}


def answer(words, shown, places, capsys):
  """Runs a command in the working directory, which has to stay empty, and expects its line."""

  def filled(text):
    for name, place in places.items():
      text = text.replace(f"{{{name}}}", place)
    return text

  with soon():
    assert main.main([filled(word) for word in shlex.split(words)]) == 2
  (line,) = capsys.readouterr().err.split("\n")[:-1]
  assert line.startswith("error: ")
  assert filled(shown) in line
  assert not list(pathlib.Path.cwd().iterdir())


@pytest.mark.parametrize("name", in_turn(ROWS))
def test_rough_uses_end_in_one_line(name, places, tmp_path, monkeypatch, capsys):
  monkeypatch.chdir(tmp_path)
  used = [place for key, place in places.items() if f"{{{key}}}" in ROWS[name][0] and pathlib.Path(place).is_dir()]
  before = [content(place) for place in used]
  answer(*ROWS[name], places, capsys)
  assert [content(place) for place in used] == before


@pytest.mark.parametrize("name", in_turn(DAMAGED))
def test_damaged_work_directories_end_in_one_line(name, places, tmp_path, monkeypatch, capsys):
  damage, words, shown = DAMAGED[name]
  here, damaged = tmp_path / "here", tmp_path / "damaged"
  here.mkdir()
  shutil.copytree(places["run"], damaged)
  damage(damaged)
  before = content(damaged)
  monkeypatch.chdir(here)
  answer(words, shown, {**places, "damaged": str(damaged)}, capsys)
  assert content(damaged) == before


def test_the_table_has_rows_of_every_command():
  used = {words.split()[0] for words, _ in ROWS.values()}
  assert used >= set(main.COMMANDS)
  assert len(ROWS) + len(DAMAGED) >= 120
