"""The site is made with warnings as errors, and its search finds the page of each question."""

import functools
import json
import re
import shutil
import subprocess
import sys

import pytest

from docs.making.places import PAGES
from tests.docs.commands import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory):
  for name in ("sphinx", "furo", "myst_nb", "latex2mathml"):
    pytest.importorskip(name, reason="the extra docs is not installed: pip install 'catgen[docs]'")
  folder = tmp_path_factory.mktemp("site")
  done = subprocess.run(
    [sys.executable, "-m", "docs.making", f"--output={folder}"], capture_output=True, text=True, cwd=ROOT
  )
  assert done.returncode == 0, done.stdout + done.stderr
  return folder


@functools.cache
def index(site):
  text = (site / "searchindex.js").read_text(encoding="utf-8")
  return json.loads(text.removeprefix("Search.setIndex(").removesuffix(")"))


def pages_with(site, word):
  """Returns the pages that the site's search finds for a word: of its stem, in text and titles."""
  from sphinx.search.en import SearchEnglish

  stem = SearchEnglish({}).stem(word.lower())
  found = set()
  for kind in ("terms", "titleterms"):
    numbers = index(site)[kind].get(stem, [])
    found |= set(numbers if isinstance(numbers, list) else [numbers])
  return {index(site)["docnames"][number] for number in found}


def questions():
  text = (ROOT / "docs" / "QUESTIONS.md").read_text()
  return re.findall(r"^\| (.+\?) \| (.+?) \| \[.+\]\((.+)\) \|$", text, re.MULTILINE)


def test_questions_are_found_in_one_search(site):
  for question, words, target in questions():
    found = set.intersection(*(pages_with(site, word) for word in words.split()))
    assert PAGES[f"docs/{target}"] in found, (question, words, found)
    assert len(found) <= 20, f"{words} finds too much: {sorted(found)}"


def test_the_page_of_a_question_is_among_the_first_that_a_browser_shows(site):
  api = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install 'catgen[browser]'")
  with api.sync_playwright() as playwright:
    try:
      path = shutil.which("chromium") or shutil.which("google-chrome")
      browser = playwright.chromium.launch(
        executable_path=path, args=["--no-sandbox", "--allow-file-access-from-files"]
      )
    except api.Error as error:
      pytest.skip(f"no Chromium: {error}")
    page, said = browser.new_page(), []
    page.on("console", lambda message: said.append(message.text))
    page.on("request", lambda asked: asked.url.startswith("file:") or said.append(asked.url))
    for _, words, target in questions():
      page.goto(f"file://{site}/search.html?q={words.replace(' ', '+')}")
      page.wait_for_selector("#search-results .search-summary, #search-results > p:has-text('found')", timeout=60_000)
      found = page.eval_on_selector_all("#search-results > ul > li > a", "all => all.map(each => each.pathname)")
      first = [path.removeprefix(f"{site}/").removesuffix(".html") for path in found[:5]]
      assert PAGES[f"docs/{target}"] in first, (words, first)
    assert not said
    browser.close()


def test_formulas_need_no_script(site):
  page = (site / "families" / "multinomial.html").read_text(encoding="utf-8")
  assert page.count("<math") > 20
  assert not re.search(r"<script[^>]*(math|katex)", page, re.IGNORECASE)
