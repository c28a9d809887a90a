"""What may be drawn: restrictions mean the same in every sampler, and how many samples is checked before the work."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from catgen.distributions import categorical
from catgen.evaluation import samples
from catgen.interfaces import InputError, SampleOptions, Samples
from catgen.models.diffusion.sampling import make_infill, sample
from catgen.processes import SCHEDULES
from catgen.runs import sample as sampling
from catgen.runs.sample import sample as draw_samples
from catgen.runs.sample import sample_options
from tests.cases.outputs import BYTES, IN_A_LINE, LINES, MAPS
from tests.contracts import exact
from tests.models import test_autoregressive_chain as chain
from tests.models.stubs import keys_up_to, neighbor, own, spec_of, table
from tests.processes.test_processes import kernel


def restricted(logits, options):
  """Returns the probabilities of one distribution from the definitions, in float64."""
  logits = [-np.inf if i in options.forbid else float(value) for i, value in enumerate(logits)]
  order = sorted(range(len(logits)), key=lambda i: (-logits[i], i))
  if options.temperature == 0:
    kept = order[:1]
    weights = [1.0]
  else:
    kept = [i for i in order if logits[i] > -np.inf][: options.top_k]
    weights = [np.exp((logits[i] - logits[order[0]]) / options.temperature) for i in kept]
  shares, chosen, mass = np.array(weights) / sum(weights), [], 0.0
  for i, share in zip(kept, shares, strict=True):
    if mass >= options.top_p - 1e-12:
      break
    chosen.append(i)
    mass += share
  result = np.zeros(len(logits))
  result[chosen] = shares[: len(chosen)] / mass
  return result


OPTIONS = [
  SampleOptions(temperature=1e-4),
  SampleOptions(temperature=0.0, top_p=0.3),
  SampleOptions(top_k=3, temperature=2.0),
  SampleOptions(top_p=0.6),
  SampleOptions(top_p=1e-6),
  SampleOptions(top_k=4, top_p=0.83, forbid=(0, 2)),
  SampleOptions(forbid=(1, 2, 3, 4, 5)),
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_d4_what_may_be_drawn_is_what_the_definitions_say(options):
  rng = np.random.default_rng(0)
  logits = np.round(rng.normal(0, 1.7, (20, 6)), 1).astype(np.float32)  # rounded, so that some are equal
  logits[0], logits[1, 3:] = 0.0, -np.inf
  logits[2] *= 1e30
  if options.temperature == 1:
    logits[2] = 0.0
  found = np.asarray(jax.jit(lambda values: jax.nn.softmax(categorical.restrict(values, options)))(logits))
  possible = np.isfinite(logits).all(axis=1) | (options.forbid != (1, 2, 3, 4, 5))
  expected = np.array([restricted(row, options) for row in logits])
  np.testing.assert_allclose(found[possible], expected[possible], atol=1e-5)
  if options.temperature != 1e-4:
    np.testing.assert_array_equal(found[possible] > 0, expected[possible] > 0)


@pytest.mark.parametrize("top_p", [0.01, 0.5, 0.9, 0.99999, 0.9999999])
def test_d4_of_very_many_categories_so_many_are_kept_as_float64_says(top_p):
  logits = (3 * np.random.default_rng(0).normal(size=50_257)).astype(np.float32)
  p = np.sort(np.exp(logits, dtype=np.float64))[::-1]
  expected = np.searchsorted(np.cumsum(p / p.sum()), top_p) + 1
  found = jax.jit(lambda values: categorical.restrict(values, SampleOptions(top_p=top_p)))(logits)
  assert np.isfinite(found).sum() == expected


def test_d4_a_temperature_that_float32_lacks_is_zero():
  logits = jnp.array([1.0, 3.0, 3.0])
  found = categorical.restrict(logits, SampleOptions(temperature=1e-44))
  np.testing.assert_array_equal(found, [-np.inf, 0.0, -np.inf])


def test_d4_without_restrictions_logits_are_as_they_were():
  logits = jnp.arange(3.0)
  assert categorical.restrict(logits, SampleOptions(num_steps=3, num_frames=2)) is logits


WRONG = {
  "temperature": (-0.1, float("inf"), float("nan")),
  "top_k": (0, -1, 4),
  "top_p": (0.0, 1.1, float("nan")),
  "forbid": ((3,), (-1,), (0, 1, 2)),
}


@pytest.mark.parametrize("name", WRONG)
def test_d4_restrictions_out_of_range_are_refused_by_name(name):
  def never(*told):
    raise AssertionError("the network was called")

  for value in WRONG[name]:
    options = SampleOptions(**{name: value})
    for draw in (
      lambda options=options: chain.model().sample(None, keys_up_to(2), state={}, options=options),
      lambda options=options: sample(spec_of(never), None, keys_up_to(2), state={}, options=options),
    ):
      with pytest.raises(InputError, match=f"^{name} "):
        draw()


NUMBER = 8000
AUTOREGRESSIVE = [SampleOptions(top_p=0.7, temperature=1.5)]
AUTOREGRESSIVE += [
  pytest.param(options, marks=pytest.mark.slow) for options in (SampleOptions(top_k=2), SampleOptions(forbid=(1,)))
]


@pytest.mark.parametrize("options", AUTOREGRESSIVE, ids=str)
def test_d4_autoregressive_draws_follow_each_restricted_conditional(options):
  conditional = np.array([restricted(row, options) for row in chain.LOGITS])
  before = np.concatenate([np.full((27, 1), chain.K), chain.EVENTS[:, :-1]], axis=1)
  expected = conditional[before, chain.EVENTS].prod(axis=1) * NUMBER
  counts = np.bincount(chain.draw(chain.keys(NUMBER), **options._asdict()) @ [9, 3, 1], minlength=27)
  assert not counts[expected == 0].any()
  assert scipy.stats.chisquare(counts[expected > 0], expected[expected > 0]).pvalue > 1e-4


def test_d4_greedy_draws_are_the_most_probable_category_each_time():
  expected, before = [], chain.K
  for _ in range(3):
    before = int(np.argmax(chain.LOGITS[before]))
    expected.append(before)
  assert (chain.draw(chain.keys(8), temperature=0.0) == expected).all()


DIFFUSION = {
  "uniform": SampleOptions(top_p=0.8, temperature=0.7, forbid=(1,)),
  "absorbing": SampleOptions(top_k=2, forbid=(2,)),
  "uniform, greedy": SampleOptions(temperature=0.0),
}


@pytest.mark.parametrize("name", ["uniform", "absorbing", pytest.param("uniform, greedy", marks=pytest.mark.slow)])
def test_d4_diffusion_restricts_the_clean_category_given_the_noisy_ones(name):
  """Against the sum over all chains, each move being sum_x0 p(x_0 | x_t) q(x_s | x_t, x_0) by the definitions."""
  process, options, steps = name.split(",")[0], DIFFUSION[name], 3
  spec = spec_of(neighbor, process=process, num_steps=steps)
  params, kept = table(spec.process.num_states, 3), SCHEDULES["linear"].make().table(steps).keep

  def predict(states, t):
    logits = np.asarray(params, np.float64)[states[:, ::-1]] * (1 + (t - 1) / steps)
    own = kernel(process, kept[t], 3)[:3].T[states] if process == "uniform" else np.ones((*logits.shape[:2], 3))
    posterior = logits + np.log(own)
    allowed = np.array([[restricted(row, options) for row in rows] for rows in posterior])
    with np.errstate(divide="ignore"):
      return np.log(allowed) - np.log(own)

  probs = exact.diffusion(process, 3, 2, kept, lambda s, t: _normalized(predict(s, t)))
  draw = jax.jit(lambda p, k: sample(spec, p, k, state={}, options=options).x)
  counts = np.bincount(np.asarray(draw(params, keys_up_to(NUMBER, seed=4))) @ [3, 1], minlength=9)
  possible = probs > 1e-12
  assert not counts[~possible].any()
  assert not any(counts[3 * a + b] for a in range(3) for b in range(3) if {a, b} & set(options.forbid))
  assert scipy.stats.chisquare(counts[possible], probs[possible] * NUMBER / probs.sum()).pvalue > 1e-4


def _normalized(log_p):
  return log_p - np.logaddexp.reduce(log_p, axis=-1, keepdims=True)


def test_d4_observed_positions_stay_and_holes_have_no_forbidden_category():
  x = np.random.default_rng(0).integers(0, 3, (8, 40), np.int32)
  observed = np.broadcast_to(np.arange(40) % 2 == 0, x.shape)
  options = SampleOptions(forbid=(1,), temperature=1e-4)
  for process in ("uniform", "absorbing"):
    spec = spec_of(own, shape=(40,), process=process, num_steps=2)
    draw = partial(make_infill(spec).draw, state={}, options=options)
    found = np.asarray(jax.jit(draw)(table(spec.process.num_states, 3), x, observed, keys_up_to(8)).x)
    np.testing.assert_array_equal(found[observed], x[observed])
    assert set(found[~observed]) <= {0, 2}


def test_d4_categories_are_forbidden_as_a_user_calls_them():
  assert LINES.named("b\t") == (1, IN_A_LINE.index("\t"))
  assert BYTES.named("a\n") == (97, 10)
  assert MAPS.named("sky, 0") == (2, 0)
  for media, text, message in [
    (LINES, "x", "character 'x'"),
    (BYTES, "é", "not ASCII"),
    (MAPS, "cloud", "no category 'cloud'; the categories are 0 to 2, or void, road, sky"),
    (MAPS, "3", "no category '3'"),
  ]:
    with pytest.raises(InputError, match=message):
      media.named(text)
  config = {"sampling": {"num_steps": 3, "temperature": 0.5, "top_k": 2, "top_p": 1.0, "forbid": "sky"}}
  assert sample_options(config, MAPS, top_k=1) == SampleOptions(3, 0.5, 1, 1.0, (2,))
  assert sample_options(config, MAPS, forbid=[0]).forbid == (0,)
  assert sample_options({"sampling": {"num_steps": None, "temperature": 1.0}}, MAPS) == SampleOptions()  # of before


def test_d4_flags_reach_the_sampler(text_run, monkeypatch):
  asked = []

  def generate(*_, options, **__):
    asked.append(options)
    return Samples(np.zeros((1, 16), np.int32), np.ones((1, 16), bool))

  monkeypatch.setattr(sampling, "generate", generate)
  letters = tuple(map(int, text_run.encode("at")))
  draw_samples(text_run, num_samples=1, forbid="at", top_k=5, top_p=0.9, temperature=0.0)
  assert asked == [SampleOptions(temperature=0.0, top_k=5, top_p=0.9, forbid=letters)]
  corrected = draw_samples(text_run, num_samples=1, correction=0.3)
  assert asked[1:] == [SampleOptions(correction=0.3)]
  assert "drawn with a correction of 0.3: they follow another law" in sampling.describe(corrected)


@pytest.mark.parametrize("name", ["num_samples", "batch_size"])
def test_d5_no_samples_and_too_many_are_one_line(name):
  def draw(numbers, keys):
    return Samples(np.zeros((len(numbers), 10**6), np.int32), np.ones((len(numbers), 10**6), bool))

  options = {"num_samples": 2, "batch_size": 2, "key": jax.random.key(0)}
  for number in (0, -1):
    with pytest.raises(InputError, match=f"^{name} is {number}; it must be at least 1$"):
      samples.in_batches(draw, **{**options, name: number})
  with pytest.raises(InputError, match="no memory for num_samples = 1,000,000,000,000 "):
    samples.in_batches(draw, **{**options, "num_samples": 10**12})
