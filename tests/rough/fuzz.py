"""Looks for bytes that a reader neither takes nor refuses in a line, guided by what of catgen they reach.

  python -m tests.rough.fuzz                      # all readers, 30 seconds each
  python -m tests.rough.fuzz --seconds=600 scores arrays

It needs the package atheris: pip install -e ".[fuzz]". What is found is shown, and kept as a file for another try.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).parent.parent.parent
MEMORY = 2048  # MB of a process, JAX among them
SECONDS = 10  # of one content


def fuzz(name, seconds):
  """Fuzzes one reader in this process, which ends with exit code 0 where nothing is found."""
  import atheris

  with atheris.instrument_imports(include=["catgen", "launch"], enable_loader_override=False):
    from tests.rough.readers import answered, readers
  reader = readers()[name]
  with tempfile.TemporaryDirectory() as folder:
    place, corpus = pathlib.Path(folder, "place"), pathlib.Path(folder, "corpus")
    place.mkdir()
    corpus.mkdir()
    for number, content in enumerate(reader.contents):
      (corpus / str(number)).write_bytes(content)
    limits = [f"-max_total_time={seconds}", f"-timeout={SECONDS}", f"-rss_limit_mb={MEMORY}", "-max_len=4096"]
    atheris.Setup([name, *limits, "-verbosity=0", str(corpus)], lambda content: answered(reader, content, place))
    atheris.Fuzz()


def started(name, seconds):
  """Fuzzes one reader in a process of its own and returns how that ended; it leaves what it found where it started."""
  environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
  words = [sys.executable, "-m", "tests.rough.fuzz", f"--seconds={seconds}", "--here", name]
  return subprocess.run(words, env=environment, capture_output=True, text=True, errors="replace", check=False)


def main():
  """Returns the exit code: 1 where something was found."""
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument("names", nargs="*", metavar="READER", help="as readers.py calls it")
  parser.add_argument("--seconds", type=int, default=30, help="for each reader")
  parser.add_argument("--here", action="store_true", help="in this process, one reader")
  asked = parser.parse_args()
  if asked.here:
    fuzz(asked.names[0], asked.seconds)
  from tests.rough.readers import readers  # not before: what is imported already cannot be watched

  failed = []
  for name in asked.names or readers():
    ended = started(name, asked.seconds)
    print(f"{name}: {'nothing found' if ended.returncode == 0 else ended.stdout + ended.stderr}", flush=True)
    failed += [name] * bool(ended.returncode)
  return int(bool(failed))


if __name__ == "__main__":
  sys.exit(main())
