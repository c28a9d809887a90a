"""From the docstrings and signatures of the source to pages of a reference, without importing anything."""

import ast
import inspect
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence

from catgen.records import entries

_SPECIAL = re.compile(r"([\\*_<>|\[\]$#~])")
_ENTRY = re.compile(r"^\*{0,2}[A-Za-z_]\w*(?:, \*{0,2}[A-Za-z_]\w*)*: ")
_CODE = re.compile(r"`[^`\n]+`")
_LISTS = ("Args:", "Raises:", "Returns:", "Yields:", "Shapes:", "Numerics:", "Reference:", "References:")


def module_page(path: pathlib.Path, module: str, source: str, depth: int) -> str:
  """Returns a module as Markdown: what it says of itself, then its public functions and classes.

  Args:
    path: of the file.
    module: "catgen.processes.uniform".
    source: address of its source, from the page.
    depth: of the heading.
  """
  tree = ast.parse(path.read_text(encoding="utf-8"))
  lines = [f"{'#' * depth} {module}", "", f"```{{py:module}} {module}", "```", ""]
  lines += [
    f'<a class="source" href="{source}">{_escaped([path.name])}</a>',
    "",
    markdown(ast.get_docstring(tree) or ""),
    "",
  ]
  _qualify(tree)
  for node in public(tree.body):
    lines += _described(node, path, source)
  return "\n".join(lines) + "\n"


def public(body: Sequence[ast.stmt]) -> Iterator[ast.FunctionDef | ast.ClassDef]:
  """Yields the functions and classes with a docstring whose names do not begin with "_"."""
  for node in body:
    if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_") and ast.get_docstring(node):
      yield node


def markdown(text: str) -> str:
  """Returns a docstring as Markdown: sections in bold, entries as a list, what is indented or ">>>" as code."""
  lines, found = inspect.cleandoc(text).splitlines(), []
  while lines:
    line = lines.pop(0)
    if line in _LISTS:
      block = inspect.cleandoc("\n" + "\n".join(_taken(lines, indented=True))).splitlines()
      found += [f"**{line[:-1]}**", "", *(_entries(block) if line in ("Args:", "Raises:") else [_escaped(block)]), ""]
    elif line.startswith(("Example:", "Examples:")):
      found += ["```python", *inspect.cleandoc("\n" + "\n".join(_taken(lines, indented=True))).splitlines(), "```", ""]
    elif line.startswith((" ", ">>>", "python -m")):
      block = [line, *_taken(lines, indented=True)] if line.startswith(" ") else [line, *_paragraph(lines)]
      found += ["```text", *inspect.cleandoc("\n" + "\n".join(block)).splitlines(), "```", ""]
    elif line.startswith("- "):
      found.append(_escaped([line, *_continued(lines)]))
    elif line.strip():
      found += [_escaped([line, *_paragraph(lines)]), ""]
  return "\n".join(found)


class _Qualified(ast.NodeTransformer):
  """Gives the types of a signature their whole names, of which several modules may have the last word."""

  def __init__(self, names: Mapping[str, str]) -> None:
    self.names = names

  def visit_Name(self, node: ast.Name) -> ast.expr:
    return ast.Name(self.names.get(node.id, node.id))


def _qualify(tree: ast.Module) -> None:
  qualified = _Qualified(dict(_imported(tree)))
  for node in ast.walk(tree):
    if isinstance(node, ast.arg) and node.annotation:
      node.annotation = qualified.visit(node.annotation)
    elif isinstance(node, ast.FunctionDef) and node.returns:
      node.returns = qualified.visit(node.returns)


def _imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
  for node in ast.walk(tree):
    if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("catgen"):
      yield from ((each.asname or each.name, f"{node.module}.{each.name}") for each in node.names)


def _taken(lines: list[str], *, indented: bool) -> list[str]:
  """Takes the lines that are indented, and blank ones between them."""
  taken: list[str] = []
  while lines and (not lines[0].strip() or lines[0].startswith(" ") == indented):
    taken.append(lines.pop(0))
  return taken


def _paragraph(lines: list[str]) -> list[str]:
  taken: list[str] = []
  while lines and lines[0].strip() and not lines[0].startswith((" ", "- ")) and lines[0] not in _LISTS:
    taken.append(lines.pop(0))
  return taken


def _continued(lines: list[str]) -> list[str]:
  taken: list[str] = []
  while lines and lines[0].startswith("  "):
    taken.append(lines.pop(0).strip())
  return taken


def _entries(block: list[str]) -> list[str]:
  """Returns the entries "name: meaning" of a section as a list."""
  found: list[str] = []
  for line in filter(str.strip, block):
    if _ENTRY.match(line):
      names, _, meaning = line.partition(": ")
      found.append(f"- `{names}`: {_escaped([meaning])}")
    elif found:
      found[-1] += " " + _escaped([line.strip()])
    else:
      found.append(f"- {_escaped([line.strip()])}")
  return found


def _escaped(lines: Sequence[str]) -> str:
  """Returns lines as a paragraph in which nothing but code is markup."""
  text, found, end = " ".join(line.strip() for line in lines).replace("->", "→"), [], 0
  for code in _CODE.finditer(text):
    found += [_SPECIAL.sub(r"\\\1", text[end : code.start()]), code[0]]
    end = code.end()
  return "".join([*found, _SPECIAL.sub(r"\\\1", text[end:])]).replace("{", "\\{")


def _described(node: ast.FunctionDef | ast.ClassDef, path: pathlib.Path, source: str, indent: str = "") -> list[str]:
  kind = "py:class" if isinstance(node, ast.ClassDef) else "py:method" if indent else "py:function"
  fence = "`" * (4 if indent else 5)
  signature = "" if isinstance(node, ast.ClassDef) else _signature(node, bool(indent))
  lines = [f"{fence}{{{kind}}} {node.name}{signature}", ""]
  lines += [f'<a class="source" href="{source}#line-{node.lineno}">{_escaped([path.name])}, line {node.lineno}</a>', ""]
  docstring = ast.get_docstring(node) or ""
  lines += [markdown(_without_fields(docstring) if isinstance(node, ast.ClassDef) else docstring)]
  if isinstance(node, ast.ClassDef):
    lines += _fields(node, path.read_text(encoding="utf-8").splitlines())
    for each in public(node.body):
      lines += _described(each, path, source, "  ")
  return [*lines, fence, ""]


def _signature(node: ast.FunctionDef, is_method: bool) -> str:
  arguments = node.args
  if is_method and arguments.args and arguments.args[0].arg in ("self", "cls"):
    arguments = ast.arguments(**{**vars(arguments), "args": arguments.args[1:]})
  result = f" -> {ast.unparse(node.returns)}" if node.returns else ""
  return f"({ast.unparse(arguments)}){result}"


def _fields(node: ast.ClassDef, lines: Sequence[str]) -> list[str]:
  """Returns the fields of a record as a list, each with its entry in "Args:", or the comment before it or behind it."""
  found, meanings = [], entries(ast.get_docstring(node) or "")
  for each in node.body:
    if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name) and not each.target.id.startswith("_"):
      default = f" = {ast.unparse(each.value)}" if each.value else ""
      meaning = meanings.get(each.target.id) or _comment(lines, each)
      shown = f"{each.target.id}: {ast.unparse(each.annotation)}{default}"
      found.append(f"- `{shown}`" + (f": {_escaped([meaning])}" if meaning else ""))
  return [*found, ""]


def _without_fields(docstring: str) -> str:
  """Returns a record's docstring without its section "Args:", which stands beside the fields."""
  before, _, after = docstring.partition("Args:\n")
  return f"{before}{after.partition(chr(10) * 2)[2]}"


def _comment(lines: Sequence[str], node: ast.AnnAssign) -> str:
  behind = lines[(node.end_lineno or node.lineno) - 1][node.end_col_offset :].strip()
  before: list[str] = []
  number = node.lineno - 2
  while number >= 0 and lines[number].strip().startswith("#"):
    before.insert(0, lines[number].strip().lstrip("# "))
    number -= 1
  return " ".join([*before, *([behind.lstrip("# ")] if behind.startswith("#") else [])])
