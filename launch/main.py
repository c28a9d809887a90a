"""The console command `catgen`: its first word is the name of a command, the others are that command's flags."""

import ast
import importlib
import pathlib
import sys
from collections.abc import Sequence

from catgen.reporting.terminal import say, settled

COMMANDS = (
  "train", "fork", "ls", "evaluate", "sample", "infill", "denoise", "spellcheck", "score", "classify", "compare",
  "compare_tables", "diff", "check", "baselines", "bench_sampler", "bench_steps", "compress", "decompress", "columns",
  "export", "serve", "demo",
)  # fmt: skip


def main(words: Sequence[str] | None = None) -> int:
  """Runs a command and returns its exit code."""
  name, *rest = (sys.argv[1:] if words is None else words) or ["--help"]
  if name in COMMANDS:
    return importlib.import_module(f".{name}", __package__).main(rest)
  if name in ("--help", "-h", "help"):
    lines = (f"  {name:<16}{summary(name)}" for name in COMMANDS)
    say("\n".join(["catgen COMMAND --flag=value ...; catgen COMMAND --help says more\n", *lines]))
    return settled(0)
  say(f"error: there is no command {name!r}; the commands are {', '.join(COMMANDS)}", sys.stderr)
  return 2


def summary(name: str) -> str:
  """Returns the first line of a command's documentation, without importing it."""
  text = pathlib.Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
  return (ast.get_docstring(ast.parse(text)) or "").splitlines()[0]


if __name__ == "__main__":
  sys.exit(main())
