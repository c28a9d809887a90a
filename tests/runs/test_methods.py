"""Methods of a run: signatures that are those of their functions, messages in Python's words, records in a line."""

import inspect
import os
import signal

import numpy as np
import pytest

import catgen
from catgen.interfaces import InputError
from catgen.runs import classify, correct, evaluate, infill, plot, sample, score
from catgen.runs.methods import in_words
from tests.tiny_run import quiet

FUNCTIONS = {
  "sample": sample.sample,
  "score": score.score,
  "classify": classify.classify,
  "evaluate": evaluate.evaluate,
  "infill": infill.infill,
  "correct": correct.correct,
}
OWN = {  # defaults in Python
  "sample": {"num_samples": 1, "pictures": False},
  "score": {"reference": 0},
  "infill": {"pictures": False},
  "correct": {"pictures": False},
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_method_has_the_signature_of_its_function_less_the_run(name):
  function, method = FUNCTIONS[name], getattr(catgen.Run, name)
  known, found = inspect.signature(function), inspect.signature(method)
  expected = {each: known.parameters[each].default for each in list(known.parameters)[1:]} | OWN.get(name, {})
  assert {each.name: each.default for each in list(found.parameters.values())[1:]} == expected
  assert found.return_annotation is known.return_annotation
  assert method.__name__ == name
  named = [line.split(":")[0].strip() for line in method.__doc__.partition("Args:\n")[2].splitlines() if ":" in line]
  assert set(expected) <= set(named), "an option has no line"
  assert "  run:" not in method.__doc__
  assert not [f"--{each}" for each in expected if f"--{each}" in method.__doc__]


def test_a_plot_takes_the_options_of_samples():
  found, options = inspect.signature(catgen.Run.plot).parameters, inspect.signature(sample.sample).parameters
  assert found["num_samples"].default == inspect.signature(plot.plot).parameters["num_samples"].default
  assert set(found) - {"self"} == set(options) - {"run", "pictures", "chain"}


class Interrupting:
  """A bar whose updates are each followed by Ctrl-C."""

  def update(self, amount):
    os.kill(os.getpid(), signal.SIGINT)

  def close(self):
    pass


@pytest.mark.parametrize("number", [3, 1])  # in the midst, and where nothing is left to do
def test_a_signal_ends_a_method_as_it_ends_python_and_what_was_drawn_is_not_lost(text_run, number):
  with pytest.raises(KeyboardInterrupt, match=r"^sample was stopped$") as caught:
    text_run.sample(number, batch_size=1, num_steps=2, seed=7, progress=lambda *_, **__: Interrupting())
  assert caught.value.code == 130
  assert caught.value.found.x.shape == (1, 16)


def test_options_that_are_none_are_told_with_those_that_were_meant(text_run):
  with pytest.raises(InputError, match=r"^sample has no option 'temprature'; did you mean 'temperature'\?$"):
    text_run.sample(2, temprature=0.5)
  with pytest.raises(InputError, match="did you mean 'num_samples'"):
    text_run.sample(num=2)
  with pytest.raises(InputError, match=r"'data', which is one of catgen.load: load the run with it"):
    text_run.evaluate(data="a.txt")
  with pytest.raises(InputError, match="sample: too many positional arguments; give options by name"):
    text_run.sample(2, 3)
  with pytest.raises(InputError, match=r"^train has no option 'wokdir'; did you mean 'workdir'\?$"):
    catgen.train("quickstart", wokdir="a")
  assert text_run.sample(num_samples=2, num_steps=2).x.shape == text_run.sample(2, num_steps=2).x.shape


@pytest.mark.parametrize(
  ("line", "told"),
  [
    ("give --text=\"a pat____\"", 'give text="a pat____"'),
    ("give --input=file.npy, or --split=test --index=3", 'give input="file.npy", or split="test", index=3'),
    ("--data=PATH says where", 'data="PATH" of catgen.load says where'),
    ("leave --noema out", "leave ema=False of catgen.load out"),
    ("(--pictures=false leaves it out)", "(pictures=False leaves it out)"),
    ("give --config.model=diffusion", 'give overrides={"model": "diffusion"}'),
    ("or --config.data.path=...", 'or overrides={"data.path": ...}'),
    ("see --coordinator; a--split", "see --coordinator; a--split"),
  ],
)  # fmt: skip
def test_flags_are_told_as_arguments(line, told):
  assert in_words(line, inspect.signature(catgen.Run.infill)) == told


def test_mistakes_in_python_speak_of_arguments(text_run, map_run):
  with pytest.raises(InputError, match=r'^nothing to complete; give text="a pat____"$'):
    text_run.infill()
  with pytest.raises(InputError, match=r'input="file.npy", or split="test", index=3'):
    map_run.infill()
  with pytest.raises(InputError, match=r"^step is 'newest'; give best, latest"):
    catgen.load(text_run.workdir, step="newest", say=quiet)
  with pytest.raises(InputError, match=r"^nothing to complete; give --text="):
    infill.infill(text_run)  # as a command calls it


def test_one_example_is_decoded_and_all_else_is_refused_in_a_line(text_run):
  assert text_run.decode(text_run.encode("the cat")) == "the cat"
  whole = np.zeros(text_run.model.event.shape, int)
  for x, line in (
    ("abc", r"integers of one example, \[16\], not 'abc'; encode"),
    (whole[None], r"this has the shape \[1, 16\]; of several give one, x\[0\]"),
    (np.zeros(17, int), r"this has the shape \[17\]"),
    (whole + 99, "these go from 99 to 99"),
    (whole - 1, "these go from -1 to -1"),
  ):
    with pytest.raises(InputError, match=line):
      text_run.decode(x)


def test_a_correction_has_the_length_that_was_typed(text_run, tmp_path):
  found = text_run.correct("the cet", output=str(tmp_path / "a.npy"))
  assert len(text_run.decode(found.x)) == 7
  assert np.load(tmp_path / "a.npy").shape == (1, 16)


def test_what_a_notebook_shows_is_short(text_run, map_run):
  run = catgen.load(text_run.workdir, say=quiet)
  assert repr(run).startswith("Run('")
  assert f"parameters, step {run.step}" in repr(run)
  assert {"count", "index"}.isdisjoint(dir(run))
  assert {"sample", "evaluate", "params"} <= set(dir(run))
  shown = [run, run.plot, run.model, run.record, run.source(), run.sample(2, num_steps=2), run.score(["the cat"])]
  shown += [run.correct("the cet"), run.infill("the ca__", num_samples=2), catgen.load_config("quickstart")]
  for each in [*shown, map_run, map_run.sample(2, num_steps=2)]:
    assert len(repr(each)) < 900, repr(each)
    assert "array(" not in repr(each)
    assert "functools" not in repr(each)
