"""Data sets, families and processes of a user's own that are not what they have to be: each is a line."""

import numpy as np
import pytest

from catgen.config import make_model, make_source
from catgen.data import SOURCES
from catgen.data.codecs import alphabet_codec
from catgen.interfaces import Batch, EventSpec, InputError
from catgen.kinds import Kind
from catgen.models import MODELS
from catgen.processes import PROCESSES
from catgen.sources import DataSource, Split

X = np.arange(24).reshape(4, 6) % 3
EVENT = EventSpec((6,), 3)


def source(x, event=EVENT):
  def examples(index):
    return Batch(x[index], np.ones(x[index].shape, bool), index)

  split = Split(len(x), examples, len(x), examples)
  return DataSource(event, {"train": split}, alphabet_codec("abc"), "letter", 1.0, "0" * 64, "rows")


SETS = {
  "nothing": (None, "config.data.kind 'mine' makes a NoneType; it must make a DataSource"),
  "numbers": (source(X / 2), "data of kind 'mine': examples of split 'train' are float.*; the event needs integers"),
  "shape": (source(X, EventSpec((7,), 3)), r"are int.* \[6\]; the event needs integers \[7\]"),
  "category": (source(X + 1), "split 'train' has category 3; the event has those from 0 to 2"),
}


@pytest.mark.parametrize("name", SETS)
def test_a_data_set_that_is_none_is_a_line(name, monkeypatch):
  made, message = SETS[name]
  monkeypatch.setitem(SOURCES, "mine", Kind(lambda: made))
  with pytest.raises(InputError, match=message):
    make_source({"kind": "mine"})


def test_a_data_set_of_the_users_own_is_taken(monkeypatch):
  monkeypatch.setitem(SOURCES, "mine", Kind(lambda: source(X)))
  assert make_source({"kind": "mine"}).event == EVENT


def test_a_family_and_a_process_make_what_they_are_called(monkeypatch):
  monkeypatch.setitem(MODELS, "mine", Kind(lambda event, /: event))
  with pytest.raises(InputError, match="'mine' makes a EventSpec; it must make a Model"):
    make_model({"kind": "mine"}, EVENT)
  monkeypatch.setitem(PROCESSES, "mine", Kind(lambda num_classes, /: None))
  with pytest.raises(InputError, match="process <lambda> makes a NoneType; it must make a Process"):
    make_model({"kind": "diffusion", "network": {"kind": "per_position"}, "process": {"kind": "mine"}}, EVENT)
