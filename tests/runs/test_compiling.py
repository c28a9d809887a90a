"""The cache that stays, and where compiled programs are kept."""

import os
import subprocess
import sys
import tempfile

import jax
import pytest

from catgen import cache
from catgen.interfaces import InputError
from catgen.runs import compiling
from tests.tiny_run import ROOT, environment

OWN = ("CATGEN_CACHE", "XDG_CACHE_HOME", *compiling._VARIABLES, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS")


@pytest.fixture
def unset(monkeypatch, tmp_path):
  for name in OWN:
    monkeypatch.delenv(name, raising=False)
  monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.mark.parametrize(
  ("variables", "place"),
  [
    ({}, "home/.cache/catgen/jax"),
    ({"XDG_CACHE_HOME": "{}/xdg"}, "xdg/catgen/jax"),
    ({"XDG_CACHE_HOME": "relative"}, "home/.cache/catgen/jax"),
    ({"XDG_CACHE_HOME": "{}/xdg", "CATGEN_CACHE": "{}/mine"}, "mine/jax"),
    ({"CATGEN_CACHE": "~/mine"}, "home/mine/jax"),
    ({"CATGEN_CACHE": "off"}, None),
    ({"HOME": "~"}, None),
    ({"CATGEN_CACHE": "{}/file/below"}, None),  # cannot be made
    ({"CATGEN_CACHE": "/proc/1"}, None),
  ],
)
def test_the_cache_is_in_its_stated_place_or_nowhere(unset, monkeypatch, tmp_path, variables, place):
  (tmp_path / "file").write_text("")
  for name, value in variables.items():
    monkeypatch.setenv(name, value.format(tmp_path))
  found = cache.kept("jax", limit=10)
  assert found == (None if place is None else str(tmp_path / place))
  if found:
    assert os.stat(found).st_mode & 0o77 == 0  # others can neither read nor write what will be run


def test_a_cache_that_others_could_have_filled_is_not_used(unset, monkeypatch, tmp_path):
  monkeypatch.setenv("CATGEN_CACHE", str(tmp_path))
  (tmp_path / "jax").mkdir()
  (tmp_path / "jax").chmod(0o777)
  assert cache.kept("jax", limit=10) is None
  monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
  with cache.cache() as folder:
    assert folder.startswith(str(tmp_path / f"catgen-{os.getuid()}"))
  (tmp_path / "catgen-12345").mkdir()
  monkeypatch.setattr(os, "getuid", lambda: 12345)
  with pytest.raises(InputError, match="catgen-12345: it belongs to another user; set TMPDIR"), cache.cache():
    pass


def test_what_was_used_least_recently_makes_room(unset, monkeypatch, tmp_path):
  monkeypatch.setenv("CATGEN_CACHE", str(tmp_path))
  (tmp_path / "jax" / "old").mkdir(parents=True)
  for age, name in enumerate(["new", "old/middle", "old/oldest"]):
    (tmp_path / "jax" / name).write_bytes(bytes(100))
    os.utime(tmp_path / "jax" / name, (1e9 - age, 1e9 - age))
  cache.kept("jax", limit=300)
  assert len(list((tmp_path / "jax").rglob("*"))) == 4
  cache.kept("jax", limit=199)
  assert [path.name for path in (tmp_path / "jax").rglob("*") if path.is_file()] == ["new"]


@pytest.mark.parametrize("changes", [{}, {"JAX_COMPILATION_CACHE_DIR": ""}, {"JAX_ENABLE_COMPILATION_CACHE": "0"}])
def test_jax_is_told_unless_the_user_has_told_it(unset, monkeypatch, tmp_path, changes):
  told = {}
  monkeypatch.setenv("CATGEN_CACHE", str(tmp_path))
  for name, value in changes.items():
    monkeypatch.setenv(name, value)
  before = jax.config.jax_compilation_cache_dir
  try:
    compiling.keep_programs(told.__setitem__)
    assert told == {}  # the tests have a cache of their own
    jax.config.update("jax_compilation_cache_dir", None)
    compiling.keep_programs(told.__setitem__)
  finally:
    jax.config.update("jax_compilation_cache_dir", before)
  if changes:
    assert told == {}
  else:
    assert told["jax_compilation_cache_dir"].startswith(f"{tmp_path}/jax/{jax.__version__}-")
    assert told["jax_persistent_cache_min_compile_time_secs"] == 0.1


@pytest.mark.slow
def test_many_processes_at_once_share_a_cache_and_damage_in_it_costs_a_warning_at_most(tmp_path):
  """The seconds of a compilation are what a cache saves; its results are those without one."""
  program = (
    "import jax, jax.numpy as jnp\n"
    "from catgen.runs.compiling import keep_programs\n"
    "keep_programs()\n"
    "jax.config.update('jax_persistent_cache_min_compile_time_secs', 0)\n"
    "print(float(jax.jit(lambda x: jnp.sin(x).sum())(jnp.arange(9.0))))\n"
  )
  settings = {name: value for name, value in environment().items() if name not in OWN}
  settings |= {"CATGEN_CACHE": str(tmp_path), "PYTHONPATH": str(ROOT)}

  def run(number):
    words = [sys.executable, "-c", program]
    running = [subprocess.Popen(words, env=settings, stdout=subprocess.PIPE, text=True) for _ in range(number)]
    told = {process.communicate(timeout=120)[0] for process in running}
    assert [process.returncode for process in running] == [0] * number
    return told

  first = run(4)
  assert len(first) == 1
  entries = list(tmp_path.rglob("*-cache"))
  assert entries
  assert run(1) == first
  for entry in entries:
    entry.write_bytes(entry.read_bytes()[:50])
  assert run(1) == first
