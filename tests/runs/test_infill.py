"""Completions of patterns, typed and in files."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from catgen.data import from_spec
from catgen.interfaces import EventSpec, InputError, SampleOptions
from catgen.media import media_of
from catgen.models import MODELS
from catgen.networks import TRUNKS
from catgen.processes import PROCESSES
from catgen.runs.infill import describe, explained, infill


def test_a_text_is_completed(text_run):
  found = infill(text_run, text="the #at", hole="#", num_samples=2, num_steps=5)
  assert describe(found).startswith("completions are an approximation")
  assert len(found.lines) == 2
  assert all(len(line) == 16 and line.startswith("the ") and line[5:7] == "at" for line in found.lines)
  with pytest.raises(InputError, match="cannot complete examples: take a diffusion or an autoregressive one"):
    infill(text_run._replace(model=text_run.model._replace(infill=None)), text="a_")
  with pytest.raises(InputError, match="nothing to complete; give --text"):
    infill(text_run)
  with pytest.raises(InputError, match="add 9"):
    infill(text_run, text="the #at", hole="#", pad=False)


@pytest.mark.parametrize(
  ("kind", "own", "others"),
  [("autoregressive", (None, "left_to_right"), ()), ("block_diffusion", (None, "first_hitting"), ("left_to_right",))],
)
def test_by_another_order_than_the_models_own_they_follow_that_order(kind, own, others):
  model = MODELS[kind].make(event=EventSpec((4,), 3), network=TRUNKS["transformer"](width=8, num_heads=2))
  said = {order: explained(SimpleNamespace(model=model), SampleOptions(order=order)) for order in (*own, *others)}
  assert {said[order] for order in own} == {model.infill.explanation}
  assert all(said[order].startswith(f"drawn by order {order}") for order in others)
  for order in (*own, *others):  # restricted draws are those of no order, nor of the model
    restricted = explained(SimpleNamespace(model=model), SampleOptions(order=order, temperature=0.5, forbid=(1,)))
    assert " with temperature 0.5, forbid 1, " in restricted
    assert "exact" not in restricted


@pytest.mark.parametrize("options", [{"temperature": 0.0}, {"top_k": 1}, {"top_p": 0.5}, {"correction": 0.3}], ids=str)
def test_what_changes_the_draws_is_no_longer_exact(options):
  network = TRUNKS["transformer"](width=8, num_heads=2)
  masked = {"process": PROCESSES["absorbing"](), "num_steps": 4}
  run = SimpleNamespace(model=MODELS["diffusion"].make(event=EventSpec((4,), 3), network=network, **masked))
  ((name, value),) = options.items()
  assert explained(run, SampleOptions(num_steps=2)).startswith("exact")
  said = f"drawn with {name} {value}, which leaves the model's conditional distribution"
  assert explained(run, SampleOptions(num_steps=2, **options)) == said


def test_regions_of_a_held_out_map_are_completed(map_run, here, tmp_path):
  run, output = here(map_run), tmp_path / "completions.npy"
  found = infill(run, split="test", index=2, region=["0,0,3,4", "6,6,2,2"], num_samples=3, output=str(output))
  x = run.source().splits["test"].examples(np.array([2]))[0][0]
  hidden = np.zeros((8, 8), bool)
  hidden[:3, :4] = hidden[6:, 6:] = True
  np.testing.assert_array_equal(np.load(output), found.x)
  assert found.x.shape == (3, 8, 8)
  assert (found.x[:, ~hidden] == x[~hidden]).all()
  assert np.isin(found.x, [0, 1, 2]).all()
  assert found.agreement == pytest.approx((found.x == x)[:, hidden].mean())
  shown = describe(found)
  assert f"completions are {run.model.infill.explanation}" in shown
  assert "16 of 64 pixels are holes" in shown
  assert f"{found.agreement:.1%} of them are as in the data, on average over 3 completions" in shown
  for name in ("infill.png", "infill_completions.png"):
    assert Image.open(tmp_path / name).size[0] > 300


def test_ignored_pixels_are_told_apart_from_the_holes_that_were_asked_for(map_run, tmp_path):
  maps = str(tmp_path / "maps.npy")
  x = np.zeros((8, 8), int)
  x[0, :5] = 255
  np.save(maps, x)
  codec = from_spec({**map_run.record.codec.spec, "ignore": [255]})
  ignoring = map_run._replace(media=media_of(map_run.record.event, codec, "pixel"))
  found = infill(ignoring, input=maps, region=["0,4,2,2"], num_samples=3, pictures=False)
  assert found.pattern.ignored == 5
  assert "8 of 64 pixels are holes, 5 of which are ignored in the data\n" in describe(found)
  assert f"{(found.x == 0)[:, ~found.pattern.observed & (x == 0)].mean():.1%} of the others are as in" in describe(
    found
  )
  continuing = ignoring.model._replace(infill=ignoring.model.infill._replace(prefix_only=True))
  with pytest.raises(
    InputError, match=r"hide all from the pixel in row 0, column 0 \(from 0\) on, or take a diffusion"
  ):
    infill(ignoring._replace(model=continuing), input=maps, region=["7,0,1,8"])


def test_holes_of_a_file_are_completed_whatever_a_mask_hides(map_run, tmp_path):
  maps, mask = (str(tmp_path / name) for name in ("maps.npy", "mask.npy"))
  x, hidden = np.random.default_rng(0).integers(0, 3, (2, 8, 8)), np.zeros((8, 8), bool)
  hidden[0] = True
  drawn = []
  for hole in (-1, 2):
    x[1, 0], x[1, 5, 5] = hole, -1
    np.save(maps, x)
    np.save(mask, hidden)
    drawn.append(infill(map_run, input=maps, index=1, mask=mask, num_samples=3, pictures=False))
  np.testing.assert_array_equal(drawn[0].x, drawn[1].x)
  hidden[5, 5] = True
  assert (drawn[0].x[:, ~hidden] == x[1][~hidden]).all()
  assert drawn[0].agreement is None
  assert "as in the data" not in describe(drawn[0])


def test_mistakes_in_patterns_are_one_line(map_run, tmp_path):
  for message, options in [
    ("nothing to complete; give --input", {}),
    ("has no hole; give --region", {"split": "test"}),
    (r"--index is 50, but the split 'test' has 50 example", {"split": "test", "index": 50}),
    ("does not lie", {"split": "test", "region": ["7,7,2,2"]}),
  ]:
    with pytest.raises(InputError, match=message):
      infill(map_run, **options)
  mask = str(tmp_path / "mask.npy")
  np.save(mask, np.ones((8, 9), bool))
  with pytest.raises(InputError, match=r"--mask has shape \(8, 9\)"):
    infill(map_run, split="test", mask=mask)
  np.save(mask, np.full((8, 8), -2))
  with pytest.raises(InputError, match="category -2 at index"):
    infill(map_run, input=mask)
