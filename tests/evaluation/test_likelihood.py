"""Likelihoods of splits against float64 references, and their invariance to how the work is cut up."""

import os
import pathlib
import subprocess
import sys
import textwrap

import jax
import numpy as np
import pytest

from catgen.evaluation import estimators, likelihood, samples
from catgen.evaluation.likelihood import evaluate
from catgen.evaluation.spread import Spread
from catgen.interfaces import InputError
from tests.addresses import free_address
from tests.compiling import xla_flags
from tests.evaluation.mixtures import counting_mixture, make_parameters, mixture, walk

LENGTH, CLASSES, EXAMPLES = 5, 4, 23
KEY = jax.random.key(3)
RNG = np.random.default_rng(0)
PARAMS = make_parameters(RNG, num_components=3, num_classes=CLASSES)
X = RNG.integers(0, CLASSES, (EXAMPLES, LENGTH)).astype(np.int32)
VALID = np.arange(LENGTH)[None] < RNG.integers(1, LENGTH + 1, EXAMPLES)[:, None]
MODEL = mixture(LENGTH, CLASSES)


def reference_log_joint():
  """log prior + log theta in float64: [examples, components]."""
  prior, theta = (np.asarray(PARAMS[name], np.float64) for name in ("log_prior", "log_theta"))
  return prior[None] + np.where(VALID[..., None], theta.T[X], 0.0).sum(axis=1)


def bits(nats):
  return -nats.sum() / np.log(2) / VALID.sum()


def run(model=MODEL, batch_size=4, **keywords):
  return evaluate(model, PARAMS, {}, walk(X, VALID, batch_size), key=KEY, **keywords)


def test_exact_is_the_cross_entropy_with_no_monte_carlo_error():
  joint = reference_log_joint()
  result = run()
  assert result.estimator == "exact"
  np.testing.assert_allclose(result.estimate.bits, bits(np.logaddexp.reduce(joint, axis=1)), rtol=1e-5)
  assert result.estimate.monte_carlo_error == 0.0
  np.testing.assert_array_equal(result.numbers, np.arange(EXAMPLES))
  np.testing.assert_array_equal(result.positions, VALID.sum(axis=1))


def test_full_bound_is_its_reference_and_its_anatomy_adds_up():
  joint, number = reference_log_joint(), 3
  elbo = joint.mean(axis=1) + np.log(number)
  result = run(estimator="full", num_replicates=2)
  np.testing.assert_allclose(result.estimate.bits, bits(elbo), rtol=1e-5)
  np.testing.assert_allclose(sum(result.terms.values()), result.estimate.bits, rtol=1e-6)
  anatomy = result.anatomy
  np.testing.assert_allclose(anatomy.by_time.sum(), result.estimate.bits, rtol=1e-5)
  fit = result.terms["fit"]
  np.testing.assert_allclose((anatomy.by_position * VALID.sum(axis=0)).sum() / VALID.sum(), fit, rtol=1e-5)
  np.testing.assert_allclose(np.nansum(anatomy.by_class * anatomy.class_counts) / VALID.sum(), fit, rtol=1e-5)
  np.testing.assert_array_equal(anatomy.class_counts, np.bincount(X[VALID], minlength=CLASSES))


def test_elbo_agrees_with_the_full_bound_and_its_error_is_honest():
  full = run(estimator="full").estimate.bits
  result = run(estimator="elbo", num_replicates=64, batch_size=EXAMPLES)
  assert abs(result.estimate.bits - full) < 4 * result.estimate.monte_carlo_error
  np.testing.assert_allclose(sum(result.terms.values()), result.estimate.bits, rtol=1e-6)
  others = [
    evaluate(MODEL, PARAMS, {}, walk(X, VALID, EXAMPLES), key=jax.random.key(s), estimator="elbo", num_replicates=4)
    for s in range(30)
  ]
  spread = np.std([other.estimate.bits for other in others], ddof=1)
  claimed = np.sqrt(np.mean([other.estimate.monte_carlo_error**2 for other in others]))
  assert 0.6 < claimed / spread < 1.6


def test_strata_lower_the_monte_carlo_error_of_the_walk():
  def unstratified(params, batch, keys, *, state, train, strata=None):
    return MODEL.bound(params, batch, keys, state=state, train=train)

  x, valid = np.zeros_like(X), np.ones_like(VALID)  # examples that lose alike over time, as most do
  plain, spread = (
    evaluate(model, PARAMS, {}, walk(x, valid, EXAMPLES), key=KEY, estimator="elbo", num_replicates=64).estimate
    for model in (MODEL._replace(bound=unstratified), MODEL)
  )
  assert spread.monte_carlo_error < 0.5 * plain.monte_carlo_error


@pytest.mark.parametrize("num_draws", [1, 4])
def test_strata_are_uniform_and_even_over_any_run_of_examples(num_draws):
  index, draws = np.arange(50_000, 50_400, dtype=np.int32), np.arange(num_draws, dtype=np.int32)
  strata = jax.vmap(estimators.walk_strata, in_axes=(None, None, 0, None))
  points = np.sort(np.ravel(jax.jit(strata)(np.float32(0.3), index, draws, np.int32(num_draws))))
  assert points.min() >= 0.0
  assert points.max() < 1.0
  ideal = (np.arange(points.size) + 0.5) / points.size
  assert np.abs(points - ideal).max() < 0.01  # independent numbers would give about 0.05 with 400 of them


def test_importance_weights_tighten_the_bound_up_to_the_exact_value():
  exact, elbo = run().estimate.bits, run(estimator="full").estimate.bits
  sizes = {"batch_size": 8, "num_replicates": 8, "draws_at_once": 16}
  one, many = (run(estimator="iwbo", num_draws=s, **sizes) for s in (2, 256))
  assert exact - 4 * many.estimate.monte_carlo_error < many.estimate.bits < one.estimate.bits < elbo
  assert abs(many.estimate.bits - exact) < 0.05 * (elbo - exact)
  assert many.warnings == ()
  assert many.effective_sample_size > 10
  assert "effective sample size" in one.warnings[0]
  assert 1.0 <= one.effective_sample_size <= 2.0


@pytest.mark.parametrize(
  ("num_draws", "size", "warned"), [(2, 2.0, False), (2, 1.9, True), (1, 1.0, True), (99, 9.9, True)]
)
def test_few_draws_are_warned_of_unless_their_weights_are_alike(num_draws, size, warned):
  lines = likelihood._warnings(np.zeros((1, 3)), np.full(3, size), num_draws)
  assert [f"effective sample size {size} of {num_draws} draws" in line for line in lines] == [True] * warned


@pytest.mark.parametrize(
  ("num_draws", "size", "loose"), [(4, 3.4, False), (4, 2.0, True), (2, 1.0, True), (1, 1.0, True)]
)
def test_a_bound_is_called_loose_where_its_weights_are_unlike(num_draws, size, loose):
  (line,) = likelihood._warnings(np.zeros((1, 3)), np.full(3, size), num_draws)
  assert ("is loose" in line) is loose


@pytest.mark.parametrize(("estimator", "num_draws"), [("exact", 1), ("elbo", 6), ("full", 1), ("iwbo", 6)])
def test_batch_size_and_draws_at_once_change_no_score(estimator, num_draws):
  one = run(estimator=estimator, num_draws=num_draws, num_replicates=2, batch_size=23)
  other = run(estimator=estimator, num_draws=num_draws, num_replicates=2, batch_size=4, draws_at_once=4)
  np.testing.assert_allclose(one.nats, other.nats, rtol=2e-6, atol=1e-6)
  np.testing.assert_allclose(list(one.terms.values()), list(other.terms.values()), rtol=1e-5)


def test_scores_do_not_depend_on_the_order_of_examples():
  batches = list(walk(X, VALID, 4))
  shuffled = evaluate(MODEL, PARAMS, {}, batches[::-1], key=KEY, estimator="elbo")
  np.testing.assert_allclose(shuffled.nats, run(estimator="elbo").nats, rtol=1e-6)


def test_an_example_that_comes_twice_is_an_error():
  batches = list(walk(X, VALID, 4))
  with pytest.raises(ValueError, match="twice"):
    evaluate(MODEL, PARAMS, {}, [*batches, batches[0]], key=KEY)


@pytest.mark.parametrize("estimator", ["exact", "elbo"])
def test_one_trace_serves_all_batches_replicates_and_evaluations(estimator):
  calls = []
  model = counting_mixture(LENGTH, CLASSES, calls)
  for _ in range(3):
    run(model, estimator=estimator, num_draws=4, num_replicates=3)
  assert len(calls) == 1


def test_eight_devices_give_the_scores_of_one():
  mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
  spread = Spread(mesh, ("data",))
  for estimator in ("full", "iwbo"):
    sizes = {"batch_size": 8, "num_draws": 2, "num_replicates": 8, "draws_at_once": 2}
    one = run(estimator=estimator, **sizes)
    eight = run(estimator=estimator, **sizes, spread=spread)
    np.testing.assert_allclose(one.nats, eight.nats, rtol=2e-6, atol=1e-6)
    assert one.anatomy is None or np.allclose(one.anatomy.by_time, eight.anatomy.by_time, rtol=1e-5)


def test_progress_reports_every_batch_once():
  shares = []
  run(estimator="elbo", num_draws=4, num_replicates=3, draws_at_once=2, progress=shares.append)
  assert len(shares) == 6 * 3 * 2
  np.testing.assert_allclose(sum(shares), 6)


@pytest.mark.parametrize(
  ("model", "keywords", "message"),
  [
    (mixture(exact=False), {"estimator": "exact"}, "no estimator 'exact'; it offers: elbo, full, iwbo"),
    (MODEL._replace(log_weight=None), {"estimator": "iwbo"}, "importance weights.*offers: exact, elbo, full"),
    (MODEL._replace(full_bound=None), {"estimator": "full"}, "offers: exact, elbo, iwbo"),
    (MODEL, {"estimator": "elbow"}, "unknown estimator 'elbow'"),
    (MODEL, {"num_draws": 0}, "at least 1"),
  ],
)
def test_what_a_model_lacks_is_named(model, keywords, message):
  with pytest.raises(InputError, match=message):
    run(model, **keywords)


def test_nothing_to_evaluate_is_named():
  with pytest.raises(InputError, match="no examples"):
    evaluate(MODEL, PARAMS, {}, walk(X, np.zeros_like(VALID), 4), key=KEY)


def test_an_impossible_example_is_reported():
  params = dict(PARAMS, log_theta=np.where(np.arange(CLASSES) == 0, -np.inf, PARAMS["log_theta"]).astype(np.float32))
  result = evaluate(MODEL, params, {}, walk(X, VALID, 4), key=KEY)
  assert "no finite score" in result.warnings[0]


def test_the_default_is_exact_where_it_exists():
  assert estimators.default_estimator(MODEL) == "exact"
  assert estimators.default_estimator(mixture(exact=False)) == "elbo"


TWO_PROCESSES = """
import sys
import jax, numpy as np
jax.distributed.initialize(sys.argv[1], 2, int(sys.argv[2]))
from tests.evaluation import test_likelihood as t
from catgen.evaluation.likelihood import evaluate
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from catgen.evaluation.spread import Spread
mesh = jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))
whole = NamedSharding(mesh, PartitionSpec())
params = jax.tree.map(lambda a: jax.make_array_from_callback(a.shape, whole, lambda i: np.asarray(a)[i]), t.PARAMS)
rank, options = int(sys.argv[2]), dict(num_draws=2, num_replicates=2, spread=Spread(mesh, ("data",)))
for estimator in ("elbo", "full"):
  local = [jax.tree.map(lambda a: a[4 * rank : 4 * rank + 4], batch) for batch in t.walk(t.X, t.VALID, 8)]
  result = evaluate(t.MODEL, params, {}, local, key=t.KEY, estimator=estimator, **options)
  by_time = [] if result.anatomy is None else list(result.anatomy.by_time)
  print("RESULT", estimator, *result.nats.ravel(), *by_time)
from catgen.evaluation.samples import generate
drawn = generate(t.MODEL, params, {}, num_samples=7, batch_size=3, key=t.KEY, spread=options["spread"])
print("DRAWN", *drawn.x.ravel())
from catgen.interfaces import InputError
from catgen.training import distributed
long = distributed.first_tells(lambda: b"of the first" * 1000 if rank == 0 else 1 / 0)
print("TOLD", len(long), long[:12].decode())
for mistake in (InputError, OSError):
  def find():
    raise mistake("no such thing")
  try:
    distributed.first_does(find)
  except (InputError, OSError) as error:
    print("REFUSED", type(error).__name__, error)
from catgen.training.sharding import make_mesh
stop = distributed.Stop(make_mesh(), lambda: 15 * rank)
print("STOP", stop(), stop(), stop.exit_code)
"""


def test_two_processes_give_the_scores_of_one(tmp_path):
  script, root = tmp_path / "part.py", str(pathlib.Path(__file__).parents[2])
  script.write_text(textwrap.dedent(TWO_PROCESSES))
  address = free_address()
  environment = dict(os.environ, XLA_FLAGS=xla_flags(num_devices=2))
  environment["PYTHONPATH"] = root
  command = [sys.executable, str(script), address]
  parts = [
    subprocess.Popen([*command, str(rank)], stdout=subprocess.PIPE, text=True, env=environment) for rank in (0, 1)
  ]
  outputs = [part.communicate(timeout=120)[0] for part in parts]
  assert [part.returncode for part in parts] == [0, 0]
  for output in outputs:
    lines = {line.split()[1]: line.split()[2:] for line in output.splitlines() if line.startswith("RESULT")}
    for estimator, numbers in lines.items():
      one = run(estimator=estimator, batch_size=8, num_draws=2, num_replicates=2)
      by_time = [] if one.anatomy is None else list(one.anatomy.by_time)
      np.testing.assert_allclose(np.array(numbers, float), [*one.nats.ravel(), *by_time], rtol=2e-5, atol=1e-6)
    assert set(lines) == {"elbo", "full"}
    told = [line for line in output.splitlines() if line.startswith(("DRAWN", "TOLD", "REFUSED", "STOP"))]
    drawn = samples.generate(MODEL, PARAMS, {}, num_samples=7, batch_size=7, key=KEY)
    assert told == [
      f"DRAWN {' '.join(map(str, drawn.x.ravel()))}",
      "TOLD 12000 of the first",
      "REFUSED InputError no such thing",
      f"REFUSED {'InputError' if outputs.index(output) else 'OSError'} no such thing",
      "STOP 0 15 143",  # what the second process was asked for is known to both at the call after
    ]
