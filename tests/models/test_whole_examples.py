"""Models that only meet whole examples: the same numbers, without any mask."""

import jax
import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.data.sets.array_file import array_file
from catgen.data.sets.text_file import text_file
from catgen.data.sets.text_lines import text_lines
from catgen.interfaces import EventSpec
from catgen.keys import example_keys
from catgen.models import MODELS
from catgen.networks.parts import self_attention
from catgen.processes import PROCESSES, SCHEDULES
from tests.contracts.parts import density, encoder, transformer
from tests.parameters import filled

EVENT = EventSpec((6,), 5)
MAKERS = {
  "autoregressive": lambda event: MODELS["autoregressive"].make(event=event, network=transformer()),
  "diffusion": lambda event: MODELS["diffusion"].make(
    event=event, network=transformer(), process=PROCESSES["uniform"](), schedule=SCHEDULES["cosine"](), num_steps=4
  ),
  "denoising_flow": lambda event: MODELS["denoising_flow"].make(event=event, conditioner=transformer(), num_layers=2),
  "argmax_flow": lambda event: MODELS["argmax_flow"].make(
    event=event, encoder=encoder("transformer"), density=density("coupling", "transformer"), base=2
  ),
}
X = np.random.default_rng(0).integers(0, 5, (4, 6)).astype(np.int32)


def bound(model, batch):
  """Returns (parameters, batch) -> nats, and what to call it with."""
  shapes, state = jax.eval_shape(model.init, batch, jax.random.key(0))

  def nats(params, batch):
    keys = example_keys(jax.random.key(1), batch.index)
    return model.bound(params, batch, keys, state=state, train=False).nats

  return nats, filled(shapes), batch


@pytest.mark.parametrize(
  "family", [pytest.param(name, marks=pytest.mark.slow if name.endswith("flow") else ()) for name in MAKERS]
)
def test_no_network_meets_a_mask(family, monkeypatch):
  seen = []
  attend = self_attention.attend

  def watched(*arguments, valid=None, **options):
    seen.append(valid is None)
    return attend(*arguments, valid=valid, **options)

  monkeypatch.setattr(self_attention, "attend", watched)
  for whole in (False, True):
    arguments = bound(MAKERS[family](EVENT._replace(whole=whole)), batch_of(X))
    seen.clear()
    jax.eval_shape(*arguments)
    assert set(seen) == {whole}


@pytest.mark.slow
@pytest.mark.parametrize("family", MAKERS)
def test_numbers_are_those_with_masks_and_an_example_that_is_not_there_has_none(family):
  batch = batch_of(X, np.broadcast_to(np.arange(4)[:, None] < 3, X.shape))
  found = []
  for whole in (False, True):
    function, *arguments = bound(MAKERS[family](EVENT._replace(whole=whole)), batch)
    found.append(np.asarray(jax.jit(function)(*arguments)))
  np.testing.assert_allclose(found[0], found[1], rtol=1e-5)
  assert found[1][3] == 0
  assert (found[1][:3] != 0).all()


def test_data_sets_know_whether_their_examples_are_whole(tmp_path):
  (tmp_path / "text.txt").write_text("abcab\nabc\nabcab\n" * 40)
  np.save(tmp_path / "a.npy", X)
  text, array = str(tmp_path / "text.txt"), str(tmp_path / "a.npy")
  assert text_file(text, 8).splits["train"].whole
  assert not text_lines(text, 5, splits=(1.0, 0, 0)).splits["train"].whole
  assert text_lines(text, 6, splits=(1.0, 0, 0), end=True).splits["train"].whole
  assert array_file(array, splits=(1.0, 0, 0)).splits["train"].whole
  assert not array_file(array, splits=(1.0, 0, 0), ignore=(4,)).splits["train"].whole
