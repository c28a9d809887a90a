"""The layer rule, the doors of heavy dependencies, sizes of files, and docstrings, read from the source."""

import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parent.parent
FILES = sorted(path for folder in ("catgen", "launch", "configs") for path in (ROOT / folder).rglob("*.py"))

CORE = {
  "catgen.interfaces",
  "catgen.batches",
  "catgen.bounds",
  "catgen.events",
  "catgen.given",
  "catgen.keys",
  "catgen.trees",
  "catgen.files",
  "catgen.kinds",
}
ALLOWED = {  # what a folder may import of catgen, besides itself
  "catgen/distributions": CORE,
  "catgen/bijections": {*CORE, "catgen.distributions"},
  "catgen/surjections": {*CORE, "catgen.distributions", "catgen.bijections"},
  "catgen/processes": {*CORE, "catgen.distributions"},
  "catgen/networks": CORE,
  "catgen/flows": {*CORE, "catgen.distributions", "catgen.bijections", "catgen.networks"},
  "catgen/models": {
    *CORE,
    "catgen.distributions",
    "catgen.bijections",
    "catgen.surjections",
    "catgen.processes",
    "catgen.networks",
    "catgen.flows",
  },
  "catgen/data": CORE,
  "catgen/training": CORE,
  "catgen/evaluation": CORE,
  "catgen/reporting": CORE,
  "catgen/media": {*CORE, "catgen.data", "catgen.evaluation", "catgen.reporting"},
}
DOORS = {
  "flax": ("catgen/networks/", "catgen/flows/", "catgen/models/"),
  "optax": ("catgen/training/optimizer.py", "catgen/training/step.py", "catgen/training/state.py"),
  "orbax": ("catgen/training/checkpoint.py",),
  "grain": ("catgen/data/",),
  "tensorflow_datasets": ("catgen/data/",),
  "ml_collections": ("catgen/config/", "configs/"),
  "absl": ("launch/",),
  "matplotlib": ("catgen/reporting/", "catgen/media/"),
  "PIL": ("catgen/reporting/", "catgen/media/", "catgen/data/label_images.py"),
  "tensorboardX": ("catgen/reporting/",),
}


def name_of(path: pathlib.Path) -> str:
  return path.relative_to(ROOT).as_posix()


def imports(path: pathlib.Path) -> set[str]:
  found = set()
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      found |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom) and node.module:
      found |= {f"{node.module}.{alias.name}" for alias in node.names}
  return found


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_layers_and_doors(path):
  name = name_of(path)
  folder = "/".join(name.split("/")[:2])
  own = folder.replace("/", ".")
  for module in imports(path):
    if module.startswith("catgen") and folder in ALLOWED:
      permitted = {own, *ALLOWED[folder]}
      assert any(module == p or module.startswith(p + ".") for p in permitted), f"{name} imports {module}"
    assert not (name.startswith("catgen/") and module.split(".")[0] in ("launch", "configs", "tests")), name
    top = module.split(".")[0]
    if top in DOORS:
      assert name.startswith(DOORS[top]), f"{name} imports {top}, whose door is {DOORS[top]}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_and_functions_stay_small(path):
  assert len(path.read_text().splitlines()) <= 400
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.FunctionDef):
      body = node.end_lineno - node.body[0].lineno + 1
      if ast.get_docstring(node):
        body = node.end_lineno - node.body[0].end_lineno
      assert body <= 60, f"{name_of(path)}: {node.name} has {body} lines"


@pytest.mark.parametrize("path", [p for p in FILES if name_of(p).startswith("catgen/")], ids=name_of)
def test_public_things_are_documented(path):
  tree = ast.parse(path.read_text())
  assert ast.get_docstring(tree), "the module"
  for node in tree.body:
    if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
      assert ast.get_docstring(node), node.name


def test_units_are_converted_in_one_place():
  pattern = re.compile(r"math\.log\(2|np\.log\(2|jnp\.log\(2|log2\(|\blog1p\(1\b")
  users = [name_of(p) for p in FILES if name_of(p).startswith("catgen/") and pattern.search(p.read_text())]
  assert users == ["catgen/bounds.py"]


def test_nothing_is_called_utils():
  assert not [name_of(p) for p in FILES if p.stem in ("utils", "util", "common", "misc", "helpers")]
