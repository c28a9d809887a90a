"""States of a sampler on their way: they end where one call ends, stay where something is observed, and can be left."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.evaluation import infilling, samples
from catgen.evaluation.watching import _compiled, watch
from catgen.interfaces import EventSpec, InputError, SampleOptions
from catgen.keys import example_keys, root_key
from catgen.models import MODELS
from catgen.networks import TRUNKS
from tests.parameters import filled

LENGTH, K = 6, 3
NETWORK = TRUNKS["transformer"](width=8, num_layers=1, num_heads=2)
KINDS = {
  "masked": ("diffusion", {"process": "absorbing", "schedule": "linear", "num_steps": 7}),
  "uniform": ("diffusion", {"num_steps": 7}),
  "autoregressive": ("autoregressive", {}),
  "block diffusion": ("block_diffusion", {"block_length": 2}),
}
KEYS = example_keys(root_key(5), jnp.arange(4))
OPTIONS = SampleOptions(temperature=0.7)


# The uniform one is seen below, with labels.
@pytest.fixture(
  scope="module",
  params=["masked", "autoregressive", "block diffusion", pytest.param("uniform", marks=pytest.mark.slow)],
)
def made(request):
  from catgen.processes import PROCESSES, SCHEDULES

  kind, more = KINDS[request.param]
  more = {**more, **({"process": PROCESSES[more["process"]]()} if "process" in more else {})}
  more = {**more, **({"schedule": SCHEDULES[more["schedule"]]()} if "schedule" in more else {})}
  model = MODELS[kind].make(event=EventSpec((LENGTH,), K), network=NETWORK, **more)
  params = filled(jax.eval_shape(model.init, batch_of(np.zeros((2, LENGTH), np.int32)), jax.random.key(0))[0])
  return request.param, model, params


def test_they_end_where_one_call_ends(made):
  _, model, params = made
  whole = samples.generate(model, params, {}, num_samples=4, batch_size=4, key=root_key(5), options=OPTIONS).x
  for num_states in (2, 4, 99):
    states = list(watch(model, params, {}, KEYS, options=OPTIONS, num_states=num_states))
    np.testing.assert_array_equal(states[-1].x, whole)
    assert (states[-1].x < K).all()
    assert [state.moves for state in states] == sorted({state.moves for state in states})
    assert states[0].moves == 0
    assert states[-1].moves == states[-1].num_moves
    assert len(states) == min(num_states, states[-1].num_moves + 1)
  assert all(program._cache_size() == 1 for program in _compiled(model, OPTIONS, samples.ALONE))


def test_frames_of_a_sample_are_the_states_on_its_way(made):
  """And each position is drawn once, but by multinomial diffusion."""
  name, model, params = made
  states = np.stack([state.x for state in watch(model, params, {}, KEYS, options=OPTIONS, num_states=99)])
  options = OPTIONS._replace(num_frames=len(states))
  chain = np.asarray(samples.compiled(model, options)(params, KEYS, None, {}).chain)
  np.testing.assert_array_equal(chain, states)
  if name == "uniform":
    return
  for move, (before, after) in enumerate(itertools.pairwise(chain)):
    drawn = before != after
    assert (before[drawn] == K).all()
    if name == "block diffusion":
      assert (drawn.sum(axis=1) == 1).all()
      assert (np.flatnonzero(drawn.any(axis=0)) // 2 == move // 2).all()
    if name == "autoregressive":
      np.testing.assert_array_equal(drawn, np.tile(np.arange(LENGTH) == move, (4, 1)))


@pytest.mark.slow
def test_frames_of_a_completion_are_the_states_on_its_way(made):
  _, model, params = made
  x = np.random.default_rng(0).integers(0, K, (4, LENGTH)).astype(np.int32)
  pattern = infilling.Pattern(x, np.tile(np.arange(LENGTH) < 2, (4, 1)))
  states = [state.x for state in watch(model, params, {}, KEYS, pattern=pattern, options=OPTIONS, num_states=99)]
  options = OPTIONS._replace(num_frames=len(states))
  drawn = infilling.compiled(model, options, samples.ALONE)(params, *map(jnp.asarray, pattern), KEYS, None, {})
  np.testing.assert_array_equal(drawn.chain, np.stack(states))


def test_completions_are_those_of_one_call(made):
  name, model, params = made
  x = np.random.default_rng(0).integers(0, K, (4, LENGTH)).astype(np.int32)
  observed = np.zeros(x.shape, bool)
  observed[:, :2] = True
  observed[:, 4] = name not in ("autoregressive", "block diffusion")
  whole = infilling.infill_each(model, params, {}, x, observed, key=root_key(5), options=OPTIONS)
  states = list(watch(model, params, {}, KEYS, pattern=infilling.Pattern(x, observed), options=OPTIONS))
  np.testing.assert_array_equal(states[-1].x, whole.x)
  np.testing.assert_array_equal(states[-1].x[observed], x[observed])


def test_what_has_no_chain_comes_as_one_move(made):
  name, model, params = made
  order = OPTIONS._replace(order="left_to_right")
  if name == "uniform":
    model, order = model._replace(chain=None), OPTIONS
  (state,) = watch(model, params, {}, KEYS, options=order)
  assert (state.moves, state.num_moves) == (1, 1)
  assert (state.x < K).all()


def test_what_cannot_be_is_refused(made):
  name, model, params = made
  with pytest.raises(InputError, match="num_states is 1"):
    next(watch(model, params, {}, KEYS, num_states=1))
  with pytest.raises(InputError, match="top_k is 9"):
    next(watch(model, params, {}, KEYS, options=SampleOptions(top_k=9)))
  with pytest.raises(InputError):
    model.chain.num_moves(SampleOptions(num_steps=8))
  if name != "autoregressive":
    with pytest.raises(InputError, match="has no chain"):
      model.chain.start(params, KEYS, state={}, options=SampleOptions(order="margin"))


def test_masks_with_learned_rates_are_watched_too():
  """Samples and completions of one call are the end of a way on which each position is uncovered once."""
  model = MODELS["learned_masking"].make(event=EventSpec((LENGTH,), K), network=NETWORK)
  params = filled(jax.eval_shape(model.init, batch_of(np.zeros((2, LENGTH), np.int32)), jax.random.key(0))[0])
  options = OPTIONS._replace(num_steps=5)
  states = np.stack([state.x for state in watch(model, params, {}, KEYS, options=options, num_states=99)])
  whole = samples.compiled(model, options._replace(num_frames=len(states)))(params, KEYS, None, {})
  np.testing.assert_array_equal(states, whole.chain)
  np.testing.assert_array_equal(states[-1], whole.x)
  assert (states[0] == K).all()
  assert all((before[before != after] == K).all() for before, after in itertools.pairwise(states))
  x, observed = np.ones((4, LENGTH), np.int32), np.tile(np.arange(LENGTH) % 2 == 0, (4, 1))
  ends = list(watch(model, params, {}, KEYS, pattern=infilling.Pattern(x, observed), options=options))
  completed = infilling.infill_each(model, params, {}, x, observed, key=root_key(5), options=options)
  np.testing.assert_array_equal(ends[-1].x, completed.x)
  assert all((state.x[observed] == 1).all() for state in ends)
  with pytest.raises(InputError, match="learned rates"):
    model.chain.num_moves(options._replace(order="margin"))


def test_labels_act_on_every_move():
  """Those of each example, guided; what is drawn is what one call with them draws."""
  model = MODELS["diffusion"].make(event=EventSpec((LENGTH,), K, (2,)), network=NETWORK, num_steps=4)
  batch = batch_of(np.zeros((2, LENGTH), np.int32))._replace(given=np.zeros((2, 1), np.int32))
  params = filled(jax.eval_shape(model.init, batch, jax.random.key(0))[0])
  options, ends = OPTIONS._replace(guidance=3.0), []
  for given in ([[0], [1], [0], [2]], [[1], [0], [1], [2]]):  # 2: not given
    labels = np.array(given, np.int32)
    states = list(watch(model, params, {}, KEYS, given=labels, options=options, num_states=3))
    drawn = samples.compiled(model, options)(params, KEYS, jnp.asarray(labels), {})
    np.testing.assert_array_equal(states[-1].x, drawn.x)
    ends.append(states[-1].x)
  assert (ends[0][:3] != ends[1][:3]).any()
  np.testing.assert_array_equal(ends[0][3], ends[1][3])
