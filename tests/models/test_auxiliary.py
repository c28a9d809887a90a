"""Auxiliary predictions of a deep transformer: what training raises, when it fades, and that no number shows it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.interfaces import EventSpec, InputError
from catgen.keys import example_keys
from catgen.models import MODELS
from catgen.models.auxiliary import layers_on
from catgen.networks import TRUNKS
from catgen.networks.conditions import Conditions
from tests.parameters import filled

LENGTH, K, LAYERS, STEPS, WEIGHT = 5, 3, 3, 30, 0.5
X = np.random.default_rng(0).integers(0, K, (4, LENGTH)).astype(np.int32)
VALID = np.arange(LENGTH) < np.array([[5], [5], [3], [0]])
BATCH = batch_of(X, VALID)


def network(**sizes):
  return TRUNKS["deep_transformer"](width=8, num_layers=LAYERS, num_heads=2, hidden_width=12, **sizes)


def make(**options):
  return MODELS["autoregressive"].make(event=EventSpec((LENGTH,), K), network=network(), **options)


PLAIN, BOTH = make(), make(auxiliary_steps=STEPS, second_target=WEIGHT)
PARAMS = filled(jax.eval_shape(BOTH.init, BATCH, jax.random.key(0))[0])
OWN = {name: part for name, part in PARAMS.items() if name != "auxiliary"}


@functools.cache
def program(model, raised):
  def total(params, batch, updates):
    keys = example_keys(jax.random.key(0), batch.index)
    bound = model.bound(params, batch, keys, state={"updates": updates}, train=True)
    return (bound.objective if raised else bound.nats).sum(), bound

  return jax.jit(jax.value_and_grad(total, has_aux=True))


def trained(model, params, updates, batch=BATCH, raised=True):
  (_, bound), gradient = program(model, raised)(params, batch, np.int32(updates))
  return jax.device_get((bound, gradient))


@functools.cache
def shorter_networks():
  """Returns (apply, parameters but for the head) of the networks that end with each layer."""
  found = []
  for number in range(1, LAYERS + 1):
    shorter = MODELS["autoregressive"].make(
      event=EventSpec((LENGTH,), K),
      network=TRUNKS["deep_transformer"](width=8, num_layers=number, num_heads=2, hidden_width=12),
    )
    blocks = {i: OWN["stack"]["trunk"]["layers"]["blocks"][i] for i in range(number)}
    found.append(
      (jax.jit(shorter.sample.args[0]), {"stack": {**OWN["stack"], "trunk": {"layers": {"blocks": blocks}}}})
    )
  return found


def log_probs(kernel, bias, number):
  """Returns log p of every category at every position, by a head on the features of a layer, in float64."""
  apply, params = shorter_networks()[number]
  head = {"kernel": kernel, "bias": bias}
  logits = np.asarray(apply({"stack": {**params["stack"], "head": head}}, X, Conditions(valid=VALID)), np.float64)
  return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def head_of(heads, layer):
  return heads["kernels"][layer - 1], heads["biases"][layer - 1]


def expected_objective(updates):
  """Returns the objective of each example by its definition: layers, targets and positions one by one."""
  heads, total = PARAMS["auxiliary"], np.zeros(len(X))
  for layer in range(1, LAYERS + 1):
    if layer < LAYERS and updates >= STEPS * layer / LAYERS:
      continue
    own = PARAMS["stack"]["head"] if layer == LAYERS else None
    first = (own["kernel"], own["bias"]) if own else head_of(heads["first"], layer)
    second = head_of(heads["second"], layer)
    for target, weight, head in ((0, 1.0, first), (1, WEIGHT, second)):
      log_p = log_probs(*head, layer - 1)
      for example in range(len(X)):
        for place in range(LENGTH - target):
          if VALID[example, place] and VALID[example, place + target]:
            total[example] += weight * log_p[example, place, X[example, place + target]]
  return total


@pytest.mark.parametrize("updates", [0, 9, 10, 19, 20, 10_000])
def test_the_objective_is_the_sum_over_layers_targets_and_positions(updates):
  bound, _ = trained(BOTH, PARAMS, updates)
  np.testing.assert_allclose(bound.objective, expected_objective(updates), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("updates", [0, 10_000])
def test_what_is_reported_is_the_plain_models_number(updates):
  bound, _ = trained(BOTH, PARAMS, updates)
  plain = jax.jit(lambda p, b: PLAIN.log_prob(p, b, state={}))(OWN, BATCH)
  np.testing.assert_allclose(bound.nats, plain, rtol=1e-6)
  np.testing.assert_array_equal(sum(bound.terms.values()), bound.nats)


def test_an_evaluation_has_no_objective():
  def evaluated(params, batch):
    keys = example_keys(jax.random.key(0), batch.index)
    return BOTH.bound(params, batch, keys, state={"updates": np.int32(0)}, train=False)

  assert jax.eval_shape(evaluated, PARAMS, BATCH).objective is None


@pytest.mark.slow  # the objective is seen above when it has
def test_once_it_has_faded_the_gradient_is_the_plain_models_with_the_second_target():
  only_second = make(second_target=WEIGHT)
  last = {"second": {name: leaf[-1:] for name, leaf in PARAMS["auxiliary"]["second"].items()}}
  _, faded = trained(BOTH, PARAMS, STEPS)
  _, plain = trained(only_second, {**OWN, "auxiliary": last}, 0)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), faded["stack"], plain["stack"])
  for off in (*faded["auxiliary"]["first"].values(), *(leaf[:-1] for leaf in faded["auxiliary"]["second"].values())):
    assert not off.any()  # heads of layers that predict no more are left alone
  _, nats = trained(BOTH, PARAMS, STEPS, raised=False)
  difference = jax.tree.map(lambda a, b: np.abs(a - b).max(), faded["stack"], nats["stack"])
  assert max(jax.tree.leaves(difference)) > 1e-3  # the second target counts


@pytest.mark.slow
def test_without_a_second_target_it_is_the_plain_models():
  intermediate = make(auxiliary_steps=STEPS)
  params = {**OWN, "auxiliary": {"first": PARAMS["auxiliary"]["first"]}}
  _, faded = trained(intermediate, params, STEPS)
  _, nats = trained(BOTH, PARAMS, 0, raised=False)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), faded["stack"], nats["stack"])


def test_layers_leave_one_by_one_and_the_last_stays():
  on = np.array([layers_on(jnp.int32(updates), 12, 4) for updates in range(14)])
  np.testing.assert_array_equal(on.sum(0), [3, 6, 9, 14])
  assert (np.diff(on, axis=0) <= 0).all()


def test_updates_are_counted_in_the_state():
  _, state = jax.eval_shape(BOTH.init, BATCH, jax.random.key(0))
  assert state["updates"].dtype == jnp.int32
  assert int(BOTH.update_state({"updates": jnp.int32(6)}, (), jnp.ones(4, bool))["updates"]) == 7
  assert PLAIN.update_state is None


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"auxiliary_steps": -1}, "auxiliary_steps is -1; it must be at least 0"),
    ({"second_target": -0.5}, "second_target is -0.5; it must be at least 0"),
    (
      {"network": TRUNKS["lstm"](), "auxiliary_steps": 3},
      "lstm does not tell .* layers.*; choose one of deep_transformer",
    ),
  ],
)
def test_what_cannot_be_is_refused(options, message):
  with pytest.raises(InputError, match=message):
    MODELS["autoregressive"].make(**{"event": EventSpec((LENGTH,), K), "network": network(), **options})
