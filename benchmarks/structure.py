"""Counts how the code is built: the table under "Figures" in docs/DECISIONS.md.

  python -m benchmarks.structure            # this checkout
  python -m benchmarks.structure ../other   # another one, an earlier commit for example

Everything is read from the source; nothing of it is imported.
"""

import ast
import collections
import itertools
import pathlib
import re
import sys
import tokenize
from collections.abc import Iterator

_RUN = 6  # lines that make a repetition
_UNITS = (
  r"nats?|bits?|seconds?|minutes?|hours?|bytes|[KMG]iB|pixels?|characters?|columns?|radians?|percent|steps?|FLOPs?"
)
_SOURCES = r"\bSHA|\bReference|\bEq\.|\bAlg\.|\bTable \d|arXiv|et al|\(\d{4}\)|the paper"
_STATES = re.compile(rf"\[[a-z_*]+[ ,\]]|\b({_UNITS})\b|{_SOURCES}")
_ARRAY = re.compile(r"\b(Float|Float32|Float64|Int|Int32|Int64|UInt\w*|Integer|Bool|Key|Shaped|Num)\[")
_EXAMPLES = ("catgen/data", "catgen/evaluation", "catgen/runs", "catgen/media", "launch")


def main() -> None:
  root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent)
  if not (root / "catgen").is_dir():
    sys.exit(f"error: {root} has no folder catgen; give the path of a checkout")
  for name, value in figures(root).items():
    print(f"{name:<72} {value}")


def figures(root: pathlib.Path) -> dict[str, str]:
  """Returns each figure of a checkout by its name."""
  package = [parsed(path) for path in python(root / "catgen")]
  records = frozenset(name for tree in package for name in shaped_types(tree))
  stated = [states_something(node, records) for tree in package for node in public_functions(tree)]
  source = sum(map(lines_of, [*python(root / "catgen"), *python(root / "launch"), *python(root / "configs")]))
  tests = sum(map(lines_of, python(root / "tests")))
  return {
    "lines of launch/ without flags, main, imports and docstrings": str(
      sum(map(launch_lines, python(root / "launch")))
    ),
    "pairs of files in networks/ and kernels/ that repeat six or more lines": str(
      repeated([*python(root / "catgen/networks"), *python(root / "catgen/kernels")])
    ),
    "pairs of files in flows/ that repeat six or more lines": str(repeated(python(root / "catgen/flows"))),
    "public functions of catgen/ that state a shape, unit or source": f"{sum(stated) / len(stated):.1%}",
    "test lines per source line": f"{tests / source:.2f} ({tests:,} / {source:,})",
    "functions that take or return examples as a bare pair (x, valid)": str(
      sum(map(bare_pairs, (path for folder in _EXAMPLES for path in python(root / folder))))
    ),
  }


def python(folder: pathlib.Path) -> list[pathlib.Path]:
  """Returns the Python files below a folder; none where it does not exist."""
  return sorted(folder.rglob("*.py"))


def parsed(path: pathlib.Path) -> ast.Module:
  return ast.parse(path.read_text())


def lines_of(path: pathlib.Path) -> int:
  """Returns the lines of a file that are not blank."""
  return sum(1 for line in path.read_text().splitlines() if line.strip())


def launch_lines(path: pathlib.Path) -> int:
  """Returns the lines of an entry point that do something besides flags, `main`, imports and documentation."""
  tree, dropped = parsed(path), set()
  for node in tree.body:
    text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    plumbing = isinstance(node, ast.FunctionDef) and node.name in ("main", "define_flags", "define_config")
    if text or plumbing or isinstance(node, ast.Import | ast.ImportFrom | ast.If):
      dropped |= set(range(node.lineno, node.end_lineno + 1))
  lines = enumerate(path.read_text().splitlines(), 1)
  return sum(1 for i, line in lines if i not in dropped and line.strip() and not line.strip().startswith("#"))


def shapes(path: pathlib.Path) -> list[tuple[int, str]]:
  """Returns (number, shape) of the lines that count: names, numbers and strings are all alike, imports are left out."""
  tokens = collections.defaultdict(list)
  with open(path, "rb") as file:
    for token in tokenize.tokenize(file.readline):
      if token.type in (tokenize.NAME, tokenize.OP, tokenize.NUMBER, tokenize.STRING):
        keyword = token.string in (
          "def",
          "return",
          "if",
          "else",
          "for",
          "in",
          "is",
          "None",
          "not",
          "self",
          "class",
          "raise",
        )
        tokens[token.start[0]].append(token.string if token.type == tokenize.OP or keyword else "_")
  imports = {
    line
    for node in ast.walk(parsed(path))
    if isinstance(node, ast.Import | ast.ImportFrom)
    for line in range(node.lineno, node.end_lineno + 1)
  }
  counted = ((number, " ".join(parts)) for number, parts in sorted(tokens.items()) if number not in imports)
  return [(number, shape) for number, shape in counted if "_" in shape]


def repeated(paths: list[pathlib.Path]) -> int:
  """Returns how many pairs of files (a file and itself included) have a run of six lines of the same shape."""
  places = collections.defaultdict(list)
  for path in paths:
    lines = shapes(path)
    for start in range(len(lines) - _RUN + 1):
      run = tuple(shape for _, shape in lines[start : start + _RUN])
      if sum(map(len, run)) > 60 and len(set(run)) > 1:  # nearly empty lines say nothing; lines of one shape are a list
        places[run].append((path, start))
  pairs = set()
  for found in places.values():
    for (one, i), (other, j) in itertools.combinations(found, 2):
      if one != other or abs(i - j) >= _RUN:
        pairs.add((one, other))
  return len(pairs)


def public_functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
  """Yields the functions of a module, and the methods of its classes, that have no underscore in front."""
  for node in tree.body:
    if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
      yield node
    if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
      for inner in node.body:
        if isinstance(inner, ast.FunctionDef) and (not inner.name.startswith("_") or inner.name == "__call__"):
          yield inner


def shaped_types(tree: ast.Module) -> Iterator[str]:
  """Yields the records and names of types that state the shapes of arrays, such as `Batch`."""
  for node in tree.body:
    fields = node.body if isinstance(node, ast.ClassDef) else []
    if any(isinstance(field, ast.AnnAssign) and _ARRAY.search(ast.unparse(field.annotation)) for field in fields):
      yield node.name
    alias = isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript)
    if alias and _ARRAY.search(ast.unparse(node.value)):
      yield node.targets[0].id


def states_something(node: ast.FunctionDef, records: frozenset[str]) -> bool:
  """Returns whether a docstring or signature names a shape, a unit or a source, or a record that states shapes."""
  annotations = [each.annotation for each in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]]
  annotations.append(node.returns)
  signature = " ".join(ast.unparse(each) for each in annotations if each is not None)
  names = set(re.findall(r"\w+", signature))
  return bool(names & records or _ARRAY.search(signature) or _STATES.search(ast.get_docstring(node) or ""))


def bare_pairs(path: pathlib.Path) -> int:
  """Returns the functions of a file that take both an x and a valid, or return a pair whose second half is boolean."""
  found = 0
  for node in ast.walk(parsed(path)):
    if isinstance(node, ast.FunctionDef):
      names = {argument.arg for argument in [*node.args.args, *node.args.kwonlyargs]}
      returns = ast.unparse(node.returns) if node.returns else ""
      pair = re.fullmatch(r"tuple\[(np\.ndarray|Int.*), (np\.ndarray|Bool.*)\]", returns)
      found += {"x", "valid"} <= names or bool(pair)
  return found


if __name__ == "__main__":
  main()
