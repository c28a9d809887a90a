"""Samples: shown, written as they were drawn, pictured, and set beside the data."""

import os
import pathlib
import re

import numpy as np
import pytest
from PIL import Image

from catgen.batches import batch_of
from catgen.interfaces import InputError
from catgen.runs import sample as module
from catgen.runs.experiment import first_examples
from catgen.runs.sample import describe, sample
from tests.runs.test_train import shown


def test_text_is_shown_or_written_and_its_chain_pictured(text_run, here, tmp_path):
  run = here(text_run)
  drawn = sample(run, num_samples=2, num_steps=5, chain=True, num_frames=5)
  assert drawn.chain.shape == (5, 2, 16)
  assert [os.path.basename(path) for path in drawn.pictures] == ["chain.png", "chain.gif"]
  assert all(os.path.getsize(path) > 1000 for path in drawn.pictures)
  assert describe(drawn).splitlines()[:2] == drawn.lines
  output = str(tmp_path / "samples.txt")
  written = sample(run, num_samples=3, num_steps=5, batch_size=2, output=output)
  assert pathlib.Path(output).read_text().splitlines() == [run.decode(x) for x in written.x]
  assert describe(written) == f"3 samples written to {output}"


def test_a_chain_of_fewer_states_than_frames_shows_each_once(text_run, here):
  some, each = (sample(here(text_run), num_samples=2, num_steps=5, chain=True, num_frames=n).chain for n in (5, 9))
  assert len(each) == 6
  np.testing.assert_array_equal(each[[0, 1, 2, 4, 5]], some)


def test_maps_are_pictured_without_asking_and_written_as_integers(map_run, here, tmp_path):
  run, output = here(map_run), str(tmp_path / "samples.npy")
  drawn = sample(run, num_samples=4, num_steps=5, output=output)
  assert drawn.pictures == (str(tmp_path / "samples.png"),)
  np.testing.assert_array_equal(np.load(output), drawn.x)
  assert shown(tmp_path) == [(run.step, "samples")]
  described = describe(sample(run, num_samples=4, num_steps=5))
  assert re.search(r"4 maps of 8 x 8 pixels: \d \d+\.\d%, \d \d+\.\d%, \d \d+\.\d%\n", described)


def test_chain_and_comparison_are_pictured(map_run, here, tmp_path):
  run = here(map_run)
  drawn = sample(run, num_samples=4, num_steps=5, chain=True, num_frames=4, compare=True)
  names = ["samples.png", "samples_beside_data.png", "statistics.png", "chain.png", "chain.gif"]
  assert [os.path.basename(path) for path in drawn.pictures] == names
  assert Image.open(tmp_path / "chain.gif").n_frames == 4
  assert [name for _, name in shown(tmp_path)] == [name.split(".")[0] for name in names]
  for direction in ("to the right", "below"):
    assert re.search(rf"pairs {direction}: divergence from training, bits +0\.\d+ +0\.\d+ +0\.0000", describe(drawn))


@pytest.mark.parametrize("name", ["text_run", "map_run"])
def test_the_training_split_beside_itself_shows_no_difference(name, request, monkeypatch, here):
  run = here(request.getfixturevalue(name))
  training = first_examples(run.source(), "train")
  monkeypatch.setattr(module, "generate", lambda *_, **__: Drawn(training))
  table = {row[0]: row[1:] for row in sample(run, compare=True, pictures=False).statistics}
  for title, (samples, held_out, reference) in table.items():
    if "divergence" in title:
      assert samples == reference == "0.0000" != held_out
  assert ("words that training has" in table) == (name == "text_run")


class Drawn:
  """What a sampler gives, made of a batch."""

  def __init__(self, batch):
    self.x, self.valid, self.chain = batch.x, batch.valid, None


def test_codes_without_a_category_are_marked_and_counted(map_run, here, monkeypatch, tmp_path):
  batch, output = batch_of(np.zeros((2, 8, 8), int)), str(tmp_path / "samples.npy")
  batch.valid[0, 0] = False
  monkeypatch.setattr(module, "generate", lambda *_, **__: Drawn(batch))
  drawn = sample(here(map_run), output=output, pictures=False)
  assert (np.load(output) == -1).sum() == 8
  assert "6.25% of the positions hold a code that means no category" in describe(drawn)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_samples_that_cannot_be_written_are_one_line(text_run, tmp_path):
  for output in ("/dev/full", str(tmp_path / "missing" / "samples.txt")):
    with pytest.raises(InputError, match=f"cannot write {output}.*choose another --output"):
      sample(text_run, num_samples=2, num_steps=5, output=output)
