"""Pages of the documentation: links lead somewhere, all are in the navigation, and that of the paper is whole."""

import ast
import re

import pytest
import yaml

from catgen.config.settings import EXPERIMENT
from catgen.kinds import Kind, keys
from catgen.models import MODELS
from docs.making import checks, links, places
from docs.making.docstrings import markdown, module_page
from docs.making.keys import keys_page
from docs.making.reference import experiments_page, flags_page, packages, pretrained_page, python_pages
from launch.main import COMMANDS
from tests.docs.commands import PAGES, ROOT

NUMBERED = {"Eq.": 16, "Algorithm": 4, "Table": 11, "Figure": 5}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path):
  for number, text, target in links.links(path):
    assert text.strip(), f"{path}:{number} has a link without words"
    if not re.match(r"[a-z]+:", target):
      links.resolve(path, target)


@pytest.mark.parametrize(
  "target", ["nowhere.md", "docs/NUMBERS.md#nothing", "catgen/bounds.py#Estimat", "../outside.md"]
)
def test_a_broken_link_is_noticed(target):
  with pytest.raises(links.BrokenLinkError, match=re.escape(target)):
    links.resolve(ROOT / "README.md", target)


def test_every_page_is_in_the_navigation_once():
  listed = [source for pages in places.NAVIGATION.values() for source in pages]
  assert len(listed) == len(set(listed))
  there = {path.relative_to(ROOT).as_posix() for path in [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")]}
  assert there - {"README.md", places.LANDING} == {source for source in listed if source.endswith(".md")}
  assert {f"notebooks/{path.name}" for path in (ROOT / "notebooks").glob("*.ipynb")} <= set(listed)
  assert all(path.exists() for path, _ in places.sources())


def test_the_paper_is_whole_and_each_place_of_it_has_code():
  page = (ROOT / "docs" / "PAPER.md").read_text()
  for word, number in NUMBERED.items():
    rows = dict(re.findall(rf"^\| {re.escape(word)} (\d+) \| (.+) \|$", page, re.MULTILINE))
    assert [int(each) for each in rows] == list(range(1, number + 1)), word
    for place, row in rows.items():
      assert re.search(r"\]\(|`launch\.|`paper/|the same", row), f"{word} {place} leads nowhere"
  named = [target for _, _, target in links.links(ROOT / "docs" / "PAPER.md") if ".py#" in target]
  assert len(named) > 40


def test_configurations_that_the_paper_page_names_exist():
  for name in re.findall(r"`paper/(\w+?)_?(?:\.\.\.)?`", (ROOT / "docs" / "PAPER.md").read_text()):
    assert list((ROOT / "configs" / "paper").glob(f"{name}*.py")), name


def test_links_become_those_of_the_site():
  text = links.moved(
    "[a](../NUMBERS.md) ![b](../chain.png) [`c`](../../catgen/bounds.py#Estimate) [d](https://e.org) `[f](g)`",
    ROOT / "docs" / "howto" / "text.md",
    "howto/text",
  )
  assert "[a](../numbers.md)" in text
  assert "![b](../pictures/chain.png)" in text
  assert "{py:obj}`c <catgen.bounds.Estimate>`" in text
  assert "[d](https://e.org) `[f](g)`" in text


@pytest.mark.slow  # a page of all of them
def test_every_public_function_is_in_the_reference():
  pages = dict(python_pages())
  described = {name for page in pages.values() for name in re.findall(r"\{py:(?:function|class)\} (\w+)", page)}
  assert set(packages()) == {name.removeprefix("reference/python/") for name in pages if name.count("/") == 2}
  for path in (ROOT / "catgen").rglob("*.py"):
    for node in ast.parse(path.read_text()).body:
      if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_") and ast.get_docstring(node):
        assert node.name in described, f"{path}: {node.name}"


def test_docstrings_become_markdown():
  text = markdown(
    "Returns x_t * [a | b] of `x_t`.\n\n  p = q\n\nArgs:\n  x, y: two\n    lines.\n\nExample:\n  >>> 1\n  1\n"
  )
  assert text.startswith(r"Returns x\_t \* \[a \| b\] of `x_t`.")
  assert "```text\np = q\n```" in text
  assert "- `x, y`: two lines." in text
  assert "```python\n>>> 1\n1\n```" in text


def test_fields_of_records_have_the_lines_of_their_docstring_or_the_comments_beside_them():
  page = module_page(ROOT / "catgen" / "interfaces.py", "catgen.interfaces", "source.html", 1)
  assert "- `nats: Float[Array, 'batch']`" in page
  assert "named, and they add up to `nats`" in page
  assert page.count("as the columns of a table do") == 1
  assert "- `num_classes: int`: K, at least 1; data are integers in \\[0, K)" in page
  assert "in row-major order, where they differ, as the columns of a table do" in page


def test_every_key_of_every_kind_is_listed():
  page = keys_page()

  def visit(part, seen):
    for kind in [part] if isinstance(part, Kind) else part.values():
      if id(kind.make) in seen:
        continue
      seen.add(id(kind.make))
      for key in keys(kind.make):
        assert re.search(rf"^\| (`{key}`|\[{key}\]\(#[\w-]+\)) \|", page, re.MULTILINE), (kind.make, key)
      for inner in kind.parts.values():
        visit(inner, seen)

  visit(EXPERIMENT, set())
  assert all(f"### model = {name}" in page for name in MODELS)


def test_commands_experiments_and_models_are_listed():
  flags, experiments, models = flags_page(), experiments_page(), pretrained_page()
  assert all(f"\n## {name}\n" in flags and f"python -m launch.{name} --" in flags for name in COMMANDS)
  assert "### paper/text8_multinomial\n" in experiments
  assert "| 1.7854 ± 0.0229 ± 0.0000 bits per character | `exact` |" in models


def test_a_site_that_fetches_from_elsewhere_or_leads_nowhere_is_noticed(tmp_path):
  (tmp_path / "a.html").write_text('<h1 id="x">A</h1><a href="b.html#y">b</a><a href="https://e.org">e</a>')
  (tmp_path / "b.html").write_text('<h1 id="y">B</h1><a href="a.html#x">a</a>')
  assert checks.faults(tmp_path) == []
  (tmp_path / "b.html").write_text('<h1>B</h1><a href="c.html">c</a><script src="//cdn.org/m.js"></script>')
  (tmp_path / "s.css").write_text("@font-face { src: url(https://fonts.org/f.woff) }")
  assert checks.faults(tmp_path) == [
    "a.html links to b.html#y, which is not there",
    "b.html fetches //cdn.org/m.js",
    "b.html links to c.html, which is not there",
    "s.css fetches from elsewhere",
  ]


def test_questions_are_answered_where_they_say():
  rows = re.findall(
    r"^\| (.+\?) \| (.+?) \| \[.+\]\((.+)\) \|$", (ROOT / "docs" / "QUESTIONS.md").read_text(), re.MULTILINE
  )
  assert len(rows) >= 10
  for _, words, target in rows:
    text = (ROOT / "docs" / target).read_text().lower()
    assert all(word.lower()[:6] in text for word in words.split()), (words, target)


@pytest.mark.parametrize(
  "path", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")), ids=lambda path: path.stem
)
def test_issue_templates_are_forms(path):
  form = yaml.safe_load(path.read_text())
  if path.stem != "config":
    assert {"name", "description", "body"} <= form.keys()
    assert all(each["type"] in ("textarea", "checkboxes") and each["attributes"]["label"] for each in form["body"])


def test_the_citation_has_the_version_and_the_paper():
  citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
  assert f'__version__ = "{citation["version"]}"' in (ROOT / "catgen" / "__init__.py").read_text()
  assert citation["license"] == "Apache-2.0"
  assert citation["references"][0]["identifiers"][0]["value"] == "arXiv:2102.05379"
