"""What every distribution promises: mass one, one law in all functions, exact tails, gradients, shapes and dtypes."""

import inspect
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jaxtyping import TypeCheckError

import catgen.distributions
from catgen.distributions import gumbel, logistic, normal, truncated_gumbel
from tests.distributions.members import MEMBERS, in_order

FALSE_ALARM = 1e-4  # a sampler that is right fails for one key in ten thousand; the keys here are fixed
NUM_DRAWS = 20_000
FUNCTIONS = {"log_prob": "logpdf", "log_cdf": "logcdf", "log_survival": "logsf"}


# One component is a logistic, as a test below says, and what is unused is nearly that.
NEARLY_ONE = ("mixture_of_one", "mixture_with_unused")


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.slow if name in NEARLY_ONE else ()) for name in MEMBERS])
def member(request):
  return MEMBERS[request.param]


def wide(values) -> np.ndarray:
  """Returns float32 values in float64: what a function of float32 was asked."""
  return np.asarray(values, np.float32).astype(np.float64)


def quadrature(low: float, high: float, panels: int = 256) -> tuple[np.ndarray, np.ndarray]:
  """Returns nodes and weights of Gauss and Legendre's rule of sixteen nodes on every panel."""
  nodes, weights = np.polynomial.legendre.leggauss(16)
  half = (high - low) / panels / 2
  middles = low + half * (2 * np.arange(panels) + 1)
  return (middles[:, None] + half * nodes).ravel(), np.tile(half * weights, panels)


def test_every_continuous_distribution_is_under_contract():
  folder = pathlib.Path(catgen.distributions.__file__).parent
  names = {path.stem for path in folder.glob("*.py")} - {"__init__", "categorical", "logarithms", "straight_through"}
  assert {each.module.__name__.rsplit(".", 1)[1] for each in MEMBERS.values()} == names


def test_all_have_the_same_functions(member):
  public = {name for name, _ in inspect.getmembers(member.module, inspect.isfunction) if not name.startswith("_")}
  assert public >= {"log_prob", "log_cdf", "cdf", "log_survival", "icdf", "sample"}


def test_the_density_integrates_to_one_in_float64(member):
  nodes, weights = quadrature(*member.support)
  with jax.enable_x64(True):
    density = np.exp(member.call("log_prob", nodes, dtype=np.float64))
  assert density.dtype == np.float64
  np.testing.assert_allclose(weights @ density, 1.0, rtol=1e-9)


def test_the_density_integrates_to_one_in_float32(member):
  nodes, weights = quadrature(*member.support)
  density = np.exp(np.asarray(member.call("log_prob", nodes), np.float64))
  np.testing.assert_allclose(weights @ density, 1.0, rtol=1e-5)


def test_the_cdf_is_the_integral_of_the_density(member):
  exact = member.exact()
  for probability in (0.1, 0.5, 0.9):
    end = float(member.call("icdf", [probability])[0])
    nodes, weights = quadrature(member.support[0], end)
    with jax.enable_x64(True):
      density = np.exp(member.call("log_prob", nodes, dtype=np.float64))
    np.testing.assert_allclose(weights @ density, exact.cdf(end), rtol=1e-6)
    np.testing.assert_allclose(weights @ density, probability, rtol=1e-4)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_logarithms_match_float64_tails_included(member, name):
  got = member.call(name, member.points)
  expected = getattr(member.exact(), FUNCTIONS[name])(wide(member.points))
  np.testing.assert_allclose(got, expected, rtol=3e-5, atol=3e-6)


def test_probabilities_match_float64_and_add_up(member):
  got = member.call("cdf", member.points)
  expected = member.exact().cdf(wide(member.points))
  np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-37)
  np.testing.assert_allclose(got, np.exp(member.call("log_cdf", member.points)), rtol=1e-4, atol=1e-37)
  np.testing.assert_allclose(got + np.exp(member.call("log_survival", member.points)), 1.0, rtol=1e-5)


def test_quantiles_invert_the_cdf(member):
  u = np.array([1e-6, 1e-3, 0.02, 0.3, 0.5, 0.8, 0.99, 0.9999])
  values = member.call("icdf", u)
  assert np.all(np.diff(values) > 0)
  np.testing.assert_allclose(member.exact().cdf(wide(values)), wide(u), rtol=1e-4)


def test_the_cdf_never_falls(member):
  values = np.linspace(*member.support, 2001)
  rounding = 1e-6 * np.maximum(np.abs(member.call("log_cdf", values)), 1.0)
  assert np.all(np.diff(member.call("log_cdf", values)) >= -rounding[1:])
  rounding = 1e-6 * np.maximum(np.abs(np.nan_to_num(member.call("log_survival", values), neginf=0.0)), 1.0)
  falls = np.asarray(member.call("log_survival", values))
  finite = np.isfinite(falls)
  assert np.all(np.diff(falls[finite]) <= rounding[finite][1:])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_are_those_of_float64(member, name):
  """By finite differences of the reference, with respect to the value and every parameter, in units of the scale."""
  points, step = wide(member.points), 1e-5
  parameters = [np.asarray(each, np.float32).astype(np.float64) for each in member.parameters]
  got = member.slopes(name, points)

  def reference(value, given):
    return getattr(member.reference(*given), FUNCTIONS[name])(value)

  by = step * member.unit
  slope = (reference(points + by, parameters) - reference(points - by, parameters)) / (2 * step)
  np.testing.assert_allclose(member.unit * got[0][:, 0], slope, rtol=5e-4, atol=2e-4)
  for i, parameter in enumerate(parameters):
    # The first of two parameters is a location, as are both of a truncated distribution and the second of a mixture.
    location = i == 1 if np.ndim(parameter) else i == 0 or member.module is truncated_gumbel
    unit = member.unit if location else 1.0
    for place in np.ndindex(np.shape(parameter)):
      up, down = (parameter.copy() for _ in range(2))
      up[place] += step * unit
      down[place] -= step * unit
      sides = [reference(points, [*parameters[:i], moved, *parameters[i + 1 :]]) for moved in (up, down)]
      slope = (sides[0] - sides[1]) / (2 * step)
      np.testing.assert_allclose(unit * got[i + 1][:, *place], slope, rtol=5e-4, atol=2e-4)


def test_draws_follow_the_cdf(member):
  draws = wide(member.sample(jax.random.key(0), NUM_DRAWS))
  assert np.all(np.isfinite(draws))
  assert scipy.stats.kstest(draws, member.exact().cdf).pvalue > FALSE_ALARM


def test_draws_are_independent_and_repeat_with_their_key(member):
  draws = np.asarray(member.sample(jax.random.key(1), NUM_DRAWS))
  np.testing.assert_array_equal(draws, member.sample(jax.random.key(1), NUM_DRAWS))
  ranks = scipy.stats.rankdata(draws)
  other = scipy.stats.rankdata(member.sample(jax.random.key(2), NUM_DRAWS))
  for pair in ((ranks[1:], ranks[:-1]), (ranks, other)):
    assert abs(np.corrcoef(*pair)[0, 1]) < scipy.stats.norm.isf(FALSE_ALARM / 2) / np.sqrt(NUM_DRAWS - 1)


def test_mean_negative_log_prob_is_the_entropy(member):
  """The sampler and the density are of one distribution: a Monte Carlo mean against quadrature."""
  nodes, weights = quadrature(*member.support)
  log_p = member.exact().logpdf(nodes)
  entropy = -weights @ (np.exp(log_p) * log_p)
  seen = -np.asarray(member.call("log_prob", member.sample(jax.random.key(3), NUM_DRAWS)), np.float64)
  assert abs(seen.mean() - entropy) < 4 * seen.std() / np.sqrt(NUM_DRAWS)


@pytest.mark.parametrize("name", ["gumbel", "truncated_gumbel", "normal", "logistic", "mixture"])
def test_shape_and_dtype_are_those_of_the_value(name):
  for function in ("log_prob", "log_cdf", "cdf", "log_survival", "icdf"):
    for shape in ((), (2, 3), (0,)):
      got = jax.eval_shape(lambda value, f=function: MEMBERS[name].traced(f, value), np.full(shape, 0.5, np.float32))
      assert (got.shape, got.dtype) == (shape, jnp.float32), function


def test_precision_follows_the_arguments(member):
  with jax.enable_x64(True):
    assert member.call("log_prob", member.points, dtype=np.float64).dtype == jnp.float64


@pytest.mark.parametrize(
  ("module", "parameters"),
  [(gumbel, (0.0,)), (truncated_gumbel, (0.0, 9.0)), (normal, (0.0, 0.0)), (logistic, (0.0, 0.0))],
)
def test_parameters_are_broadcast_against_values(module, parameters):
  values = np.array([[0.5], [1.0]], np.float32)
  rows = [np.linspace(p, p + 1.0, 3, dtype=np.float32)[None] for p in parameters]
  log_prob = jax.jit(module.log_prob)
  got = log_prob(*rows, values)
  assert got.shape == (2, 3)
  for i, j in np.ndindex(2, 3):
    np.testing.assert_allclose(got[i, j], log_prob(*(row[0, j] for row in rows), values[i, 0]), rtol=1e-6)
  drawn = jax.jit(module.sample)(jax.random.key(0), *(np.broadcast_to(row, (2, 3)) for row in rows))
  assert (drawn.shape, drawn.dtype) == ((2, 3), jnp.float32)


def test_shapes_that_do_not_fit_are_refused(member):
  arrays = [jnp.zeros((2, *np.shape(each))) for each in member.parameters]
  with pytest.raises(TypeCheckError):
    member.module.log_prob(*in_order(member.module, arrays), jnp.zeros((3,)))


@pytest.mark.parametrize("module", [normal, logistic])
def test_draws_move_with_location_and_scale(module):
  def draw(location, log_scale):
    return module.sample(jax.random.key(0), location, log_scale)

  location = np.float32(0.5)
  value, slopes = jax.jit(jax.value_and_grad(draw, argnums=(0, 1)))(location, np.float32(-0.25))
  np.testing.assert_allclose(slopes, (1.0, value - location), rtol=1e-5)


@pytest.mark.parametrize("module", [normal, logistic])
@pytest.mark.parametrize("far", [-1e4, 1e4])
def test_ten_thousand_scales_away_nothing_overflows(module, far):
  reference = {normal: scipy.stats.norm, logistic: scipy.stats.logistic}[module]()
  zero, value = np.float32(0.0), np.float32(far)
  for name, exact in FUNCTIONS.items():
    function = getattr(module, name)
    got, slope = jax.jit(jax.value_and_grad(function, argnums=2))(zero, zero, value)
    np.testing.assert_allclose(got, getattr(reference, exact)(far), rtol=1e-5)
    assert np.isfinite(slope), name


def test_far_left_a_gumbel_has_no_density_and_no_nan():
  values, zeros = np.array([-200.0, -95.0, -80.0], np.float32), np.zeros(3, np.float32)
  np.testing.assert_array_equal(np.isneginf(jax.jit(gumbel.log_prob)(zeros, values)), [True, True, False])
  np.testing.assert_array_equal(jax.jit(gumbel.cdf)(zeros, values), 0.0)
  np.testing.assert_array_equal(jax.jit(gumbel.log_survival)(zeros, values), 0.0)


@pytest.mark.parametrize("name", ["truncated_gumbel", "truncated_gumbel_loose", "truncated_gumbel_tight"])
def test_a_bound_is_the_end_of_a_truncated_distribution(name):
  member, bound = MEMBERS[name], MEMBERS[name].parameters[1]
  above = [bound + 1e-3, bound + 50.0]
  np.testing.assert_array_equal(member.call("log_prob", above), -np.inf)
  np.testing.assert_array_equal(member.call("log_cdf", [bound, *above]), 0.0)
  np.testing.assert_array_equal(member.call("log_survival", [bound, *above]), -np.inf)
  np.testing.assert_allclose(member.call("log_prob", [bound]), member.exact().logpdf(bound), rtol=1e-6)
  assert np.all(np.asarray(member.sample(jax.random.key(4), NUM_DRAWS)) <= bound)
  assert np.all(np.isfinite(member.slopes("log_prob", [bound, *above])[0]))


def test_a_truncated_distribution_with_a_far_bound_is_not_truncated():
  points = np.asarray(MEMBERS["gumbel"].points, np.float32)
  location, bound = (np.full(points.shape, value, np.float32) for value in (0.25, 100.0))
  for name in FUNCTIONS:
    got = jax.jit(getattr(truncated_gumbel, name))(location, bound, points)
    np.testing.assert_allclose(got, jax.jit(getattr(gumbel, name))(location, points), rtol=2e-5, atol=1e-6)


def test_a_mixture_of_one_is_its_component():
  member, (_, (location,), (log_scale,)) = MEMBERS["mixture_of_one"], MEMBERS["mixture_of_one"].parameters
  points = np.asarray(member.points, np.float32)
  given = [np.full(points.shape, each, np.float32) for each in (location, log_scale)]
  for name in (*FUNCTIONS, "cdf"):
    component = jax.jit(getattr(logistic, name))(*given, points)
    np.testing.assert_allclose(member.call(name, points), component, rtol=1e-5, atol=1e-6)
