"""Pages that are written by the program: what docstrings, registries, commands and records say."""

import ast
import contextlib
import importlib
import inspect
import io
import json
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from docs.making.docstrings import module_page
from docs.making.links import label
from docs.making.places import ROOT

_COLUMNS = ("model", "family", "parameters", "MB", "split", "result", "estimator", "examples")
FIRST = ("catgen", "catgen.interfaces", "catgen.runs", "catgen.models")  # of the packages, what is read first


def packages() -> dict[str, list[pathlib.Path]]:
  """Returns the files of each package of catgen; those beside the packages each count as one."""
  found: dict[str, list[pathlib.Path]] = {}
  for path in sorted((ROOT / "catgen").rglob("*.py")):
    found.setdefault(".".join(module_of(path).split(".")[:2]), []).append(path)
  return dict(sorted(found.items(), key=lambda item: (FIRST.index(item[0]) if item[0] in FIRST else 9, item[0])))


def module_of(path: pathlib.Path) -> str:
  """Returns the name of a file's module: "catgen.processes.uniform"."""
  parts = path.relative_to(ROOT).with_suffix("").parts
  return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def python_pages() -> Iterator[tuple[str, str]]:
  """Yields name and text of the pages of Python: a list of packages, and a page for each."""
  names, rows = [], []
  for package, paths in packages().items():
    name = f"reference/python/{package}"
    names.append(name.removeprefix("reference/"))
    text = []
    for path in paths:
      source = os.path.relpath(source_page(path), pathlib.PurePosixPath(name).parent)
      text.append(module_page(path, module_of(path), source, depth=1 if path == paths[0] else 2))
    yield name, "\n".join(text)
    summary = (ast.get_docstring(ast.parse(paths[0].read_text(encoding="utf-8"))) or "").splitlines()[0]
    rows.append(f"| [{package}](python/{package}.md) | {escaped(summary)} |")
  text = [
    "# Python",
    "",
    "Every function and class of catgen, with the shapes, units and sources that its docstring gives. Names of",
    "[the face](python/catgen.md) can be had from `catgen` itself; importing it costs nothing. The layers, and what",
    "each may import, are in [the map](../project/workspace.md).",
    "",
    "| package | what it is |",
    "|---|---|",
    *rows,
    "",
    "```{toctree}",
    ":hidden:",
    "",
    *names,
    "```",
  ]
  yield "reference/python", "\n".join(text) + "\n"


def source_page(path: pathlib.Path) -> str:
  """Returns the address of a file's source on the site."""
  return f"source/{path.relative_to(ROOT).as_posix()}.html"


def experiments_page() -> str:
  """Returns all configurations, folder by folder: what differs from the defaults, expected result and cost."""
  lines = [
    "# Experiments",
    "",
    "Each is a file of `configs/` that spells out what differs from the defaults. `--config=NAME` takes it wherever",
    "catgen is installed; `--print_config` shows [every key](keys.md) with its value.",
    "",
  ]
  files = sorted(path for path in (ROOT / "configs").rglob("*.py") if path.name != "__init__.py")
  for folder in sorted({path.parent for path in files}):
    inside = folder.relative_to(ROOT / "configs").as_posix()
    name = "" if inside == "." else inside
    lines += [
      f"({label('config', name) if name else 'config'})=",
      f"## {name or 'quick starts and data of your own'}",
      "",
    ]
    for path in (each for each in files if each.parent == folder):
      of = path.relative_to(ROOT / "configs").with_suffix("").as_posix()
      text = path.read_text(encoding="utf-8")
      documentation = inspect.cleandoc(ast.get_docstring(ast.parse(text)) or "")
      lines += [f"({label('config', of)})=", f"### {of}", "", "```text", documentation, "```", ""]
      code = text.split('"""')[-1].strip()
      lines += ["```python", code, "```", ""]
  return "\n".join(lines)


def flags_page() -> str:
  """Returns all commands with their flags, as `--help` shows them."""
  from launch.main import COMMANDS, summary

  lines = [
    "# Commands and their flags",
    "",
    "`python -m launch.NAME` in a checkout, `catgen NAME` where catgen is installed. What to do with them is in",
    "[Commands by aim](../commands.md).",
    "",
  ]
  for name in COMMANDS:
    lines += [f"({label('command', name)})=", f"## {name}", "", escaped(summary(name)), ""]
    lines += ["```text", _help_of(name), "```", ""]
  return "\n".join(lines)


def _help_of(name: str) -> str:
  shown = io.StringIO()
  with contextlib.redirect_stdout(shown):
    importlib.import_module(f"launch.{name}").main(["--help"])
  return shown.getvalue().strip()


def pretrained_page() -> str:
  """Returns the models of the package: a table of their results.json, and their cards."""
  folders = sorted(path for path in (ROOT / "catgen" / "pretrained").iterdir() if (path / "config.json").exists())
  lines = [
    "# Trained models",
    "",
    '`catgen.load("pretrained/NAME")` and `--workdir=pretrained/NAME` find these models, which are part of the',
    "package; [how they are stored](howto/models.md) and checked is a page of its own. The table is made from each",
    "model's results.json; the first ± is the standard error over the data, the second that of the estimate itself",
    "([Which number am I looking at?](numbers.md)).",
    "",
    f"| {' | '.join(_COLUMNS)} |",
    "|" + "---|" * len(_COLUMNS),
  ]
  for folder in folders:
    lines += [_row(folder, record) for record in json.loads((folder / "results.json").read_text(encoding="utf-8"))]
  for folder in folders:
    card = (folder / "card.md").read_text(encoding="utf-8").replace("\n#", "\n##")
    lines += ["", f"({label('model', folder.name)})=", f"#{card}"]
  return "\n".join(lines) + "\n"


def _row(folder: pathlib.Path, record: Mapping[str, Any]) -> str:
  config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
  size = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
  cells = [
    f"[{folder.name}](#{label('model', folder.name)})",
    config["config"]["model"]["kind"],
    f"{config['exported']['num_parameters']:,}",
    f"{size:.1f}",
    record["split"],
    f"{record['value']:.4f} ± {record['data_error']:.4f} ± {record['monte_carlo_error']:.4f} {record['unit']}",
    f"`{record['estimator']}`",
    f"{record['num_examples']:,} {record.get('protocol') or ''}".strip(),
  ]
  return f"| {' | '.join(cells)} |"


def escaped(text: str) -> str:
  """Returns a line as Markdown of a table."""
  return text.replace("|", "\\|").replace("<", "\\<").replace("*", "\\*").replace("_", "\\_")
