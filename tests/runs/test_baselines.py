"""Counts as rivals of models."""

import pytest

from catgen.config import make_source
from catgen.interfaces import InputError
from catgen.runs.baselines import baselines, describe, shown
from tests.tiny_run import tiny_config, tiny_map_config


def test_baselines_of_text_know_the_words(text):
  found = baselines(tiny_config(text))
  assert list(found.bits) == ["unigram", "bigram", "5-gram"]
  assert found.bits["unigram"] > found.bits["bigram"] > found.bits["5-gram"] > 0
  assert found.notes == ("±: standard error over pieces of one text, which are not independent",)


def test_baselines_of_maps_know_more_the_more_they_see(maps):
  config = tiny_map_config(maps, **{"evaluation.max_examples": 20})
  found = baselines(config)
  alone, place, beside, around = found.bits.values()
  assert alone > beside > around
  assert alone > place
  assert "scored on the first 20 of 50 test examples\ncounted on the first 500 of 500 training maps" in describe(found)
  assert shown(found.estimates["independent pixels"]) in describe(found)
  source = make_source(config["data"])
  solid = source._replace(event=source.event._replace(shape=(2, 4, 4)))
  with pytest.raises(InputError, match="sequences and maps only"):
    baselines(config, solid)
