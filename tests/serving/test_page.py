"""The page in a real browser, headless: what people do with it, by mouse and by keyboard, wide, narrow, light and dark.

CATGEN_SCREENSHOTS names a folder for pictures of what the browser shows.
"""

import os
import pathlib
import re
import shutil

import pytest

from catgen.serving.serve import serving_at

pytestmark = pytest.mark.slow
SECONDS = 120_000  # in milliseconds, of waits
SIZES = {"wide": (1200, 900), "narrow": (390, 844)}


@pytest.fixture(scope="module")
def browser():
  api = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install 'catgen[browser]'")
  path = shutil.which("chromium") or shutil.which("google-chrome")
  with api.sync_playwright() as playwright:
    try:
      found = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
    except api.Error as error:
      pytest.skip(f"no Chromium: {error}")
    yield found
    found.close()


@pytest.fixture(scope="module")
def port(models):
  with serving_at(list(models.values()), say=lambda line: None) as found:
    yield found


@pytest.fixture(params=[("wide", "light"), ("narrow", "dark")], ids="-".join)
def opened(request, browser, port):
  """Returns a page whose console has to stay silent."""
  size, scheme = request.param
  width, height = SIZES[size]
  context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
  page, said = context.new_page(), []
  page.set_default_timeout(SECONDS)
  page.on("console", lambda message: said.append(message.text))
  page.on("pageerror", lambda error: said.append(str(error)))
  page.on("request", lambda asked: said.append(asked.url) if f"127.0.0.1:{port}" not in asked.url else None)
  page.goto(f"http://127.0.0.1:{port}/")
  page.wait_for_selector("[role=tab]")
  page.name, page.said = f"{size}-{scheme}", said
  yield page
  assert not said
  context.close()


def picture(page, name):
  folder = os.environ.get("CATGEN_SCREENSHOTS")
  if folder:
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    page.screenshot(path=f"{folder}/{page.name}-{name}.png", full_page=True)
  assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it is wider than the window"


def noted(page, what="422"):
  """The console has one line, of an answer that was meant to be an error, and nothing else."""
  (line,) = page.said
  assert what in line
  page.said.clear()


def draw(page, panel, text):
  page.click(f"#panel-{panel} button.main")
  page.wait_for_selector(f"#panel-{panel} .line:has-text('{text}')")


def test_text_is_sampled_filled_in_corrected_scored_and_compared(opened):
  assert opened.evaluate("document.documentElement.dataset.theme") == opened.name.split("-")[1]
  opened.select_option("#panel-sample select >> nth=1", "8")
  draw(opened, "sample", "Drawn in 8 of 20 steps")
  samples = opened.locator("#panel-sample .samples .text").all_text_contents()
  assert len(samples) == 4
  assert all(len(text) == 16 for text in samples)
  picture(opened, "sample")
  slider = opened.locator("#panel-sample input[type=range]")
  slider.focus()
  opened.keyboard.press("Home")  # back to noise, and on by one
  assert slider.get_attribute("aria-valuetext") == "noise"
  assert opened.locator("#panel-sample .samples .text").all_text_contents() != samples
  opened.keyboard.press("End")
  assert opened.locator("#panel-sample .samples .text").all_text_contents() == samples
  opened.click("text=Change it >> nth=0")
  assert opened.input_value("#panel-infill textarea") == samples[0]
  opened.fill("#panel-infill textarea", "THE ___ sat")
  opened.select_option("#panel-infill select >> nth=1", "8")
  draw(opened, "infill", "Completions are")
  assert all(
    re.fullmatch("the .{3} sat.{5}", text) for text in opened.locator("#panel-infill .text").all_text_contents()
  )
  picture(opened, "infill")
  opened.click("#tab-correct")
  with opened.expect_response(lambda answer: "the cet set on e" in (answer.request.post_data or "")) as answered:
    opened.fill("#panel-correct textarea", "the cet set on e")
  corrected = answered.value.json()["corrected"]
  opened.wait_for_function(
    "text => document.querySelector('#panel-correct .result').innerText.replaceAll('\u00b7', ' ') === text",
    arg=corrected,
  )
  picture(opened, "correct")
  opened.select_option("#model", "letters")  # the same tab, of a model that is read letter by letter
  with opened.expect_response(lambda answer: "a cet on a mat" in (answer.request.post_data or "")) as answered:
    opened.fill("#panel-correct textarea", "a cet on a mat")
  assert answered.value.ok
  opened.wait_for_function("() => !document.querySelector('#panel-correct .stale')")
  opened.select_option("#model", "text")
  opened.click("#tab-score")
  opened.fill("#panel-score textarea", "the cat sat\nthe cat sat on a mat\n\nmat")
  opened.click("#panel-score button.main")
  opened.wait_for_selector("#panel-score .error:has-text('example 2')")
  noted(opened)
  opened.fill("#panel-score textarea", "the cat sat\nmat on a")
  opened.click("#panel-score button.main")
  opened.wait_for_selector("#panel-score tbody tr")
  assert opened.locator("#panel-score tbody tr td:first-child").all_inner_texts() == ["the cat sat", "mat on a"]
  picture(opened, "score")
  opened.click("#tab-compare")
  opened.fill("#panel-compare textarea", "the cat sat on a mat")
  opened.click("text=Score by both")
  opened.wait_for_selector("#panel-compare .error:has-text('shape (20,)')")
  noted(opened)
  opened.fill("#panel-compare textarea", "the cat sat\nmat on a")
  opened.click("text=Score by both")
  opened.wait_for_selector("#panel-compare .summary")
  picture(opened, "compare")


def test_a_map_is_drawn_painted_and_filled_in(opened):
  opened.select_option("#model", "maps")
  opened.select_option("#panel-sample select >> nth=1", "8")
  draw(opened, "sample", "Drawn ")
  assert "%" in opened.get_attribute("#panel-sample canvas", "aria-label")
  picture(opened, "maps")
  opened.click("#tab-infill")
  box = opened.locator(".board canvas").bounding_box()
  assert opened.locator(".palette label").all_inner_texts() == ["open", "0", "1", "2"]
  opened.click(".palette label >> nth=1")
  opened.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.8 * box["height"])
  opened.mouse.down()
  opened.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 0.8 * box["height"], steps=4)
  opened.mouse.up()
  opened.click(".palette label >> nth=2")
  opened.focus(".board canvas")
  for key in ("ArrowUp", "ArrowLeft", "Space"):
    opened.keyboard.press(key)
  assert re.fullmatch(r"Row 4, column 4: \w+", opened.text_content("#status"))
  opened.select_option("#panel-infill select >> nth=1", "8")
  draw(opened, "infill", "Completions are")
  picture(opened, "painted")


def test_work_is_stopped_and_mistakes_are_told(opened, port):
  opened.route("**/api/sample", lambda route: route.continue_())
  opened.click("#panel-sample button.main")
  opened.click("#panel-sample button.main")  # Stop, unless it has ended before
  opened.wait_for_selector("#panel-sample button.main:has-text('Draw')")
  assert opened.inner_text("#panel-sample .error") == ""
  opened.unroute("**/api/sample")
  opened.route("**/api/sample", lambda route: route.abort())
  opened.click("#panel-sample button.main")
  opened.wait_for_selector("#panel-sample .error:has-text('does not answer')")
  noted(opened, "ERR_FAILED")
  opened.unroute("**/api/sample")
  opened.click("#tab-infill")
  opened.fill("#panel-infill textarea", "the cat sat on a")
  opened.click("#panel-infill button.main")
  opened.wait_for_selector("#panel-infill .error:has-text('no hole')")
  noted(opened)


def test_the_keyboard_reaches_everything(opened):
  opened.focus("#tab-sample")
  opened.keyboard.press("ArrowRight")
  assert opened.get_attribute("#tab-infill", "aria-selected") == "true"
  opened.keyboard.press("End")
  assert opened.evaluate("document.activeElement.id") == "tab-compare"
  opened.keyboard.press("Home")
  names = []
  for _ in range(8):
    opened.keyboard.press("Tab")
    names.append(
      opened.evaluate("document.activeElement.labels?.[0]?.textContent ?? document.activeElement.textContent")
    )
  assert names[:6] == ["Samples", "Steps", "Temperature", "Seed", "Draw", "Another seed"]
  unnamed = (
    "[...document.querySelectorAll('input,select,textarea,canvas')].filter(e => !e.labels?.length && !e.ariaLabel)"
  )
  assert opened.evaluate(f"{unnamed}.length") == 0
  opened.click("#theme")
  assert opened.inner_text("#theme") == "Theme: light"


def test_room_for_a_text_is_counted_as_the_model_counts_it(opened):
  kinds = "[['character', 'cafés'], ['byte', 'cafés'], ['token', 'cafés']]"
  ask = f"(m) => {kinds}.map(([counted, text]) => m.room({{ counted, longest: 9 }}, text))"
  told = opened.evaluate(f"import('/drawing.js').then({ask})")
  assert told == ["5 of 9 characters", "6 of 9 bytes", "At most 9 tokens"]
  assert opened.evaluate("import('/drawing.js').then((m) => m.arrayOf({ shape: [2, 3] }, 0))") == [[0] * 3] * 2


def test_a_rival_takes_as_many_steps_as_it_has(opened):
  offers = "{ num_steps: [1, 8, 16, 32], temperature: [1] }"
  cases, model = "[[20, 250], [20, 8], [null, 250], [4, 32]]", f"{{ num_steps: t, offers: {offers} }}"
  ask = f"(m) => {cases}.map(([t, n]) => m.fewer({model}, n))"
  assert opened.evaluate(f"import('/drawing.js').then({ask})") == [16, 8, 32, 1]
