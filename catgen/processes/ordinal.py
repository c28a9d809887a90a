"""Categories that have neighbors, such as levels: noise that moves them to these first, and then everywhere.

One symmetric generator A, whose entries off the diagonal are the rates of moving from one category to another and whose
rows sum to zero, serves for all times: the move from s to t has the matrix

  Q_(t|s) = expm((tau_t - tau_s) A),        tau = -ln(alpha_bar) / g,

with g the smallest rate at which a difference dies out, the spectral gap of A. So Q_t = sum_k alpha_bar^(m_k) v_k v_k',
where v_k are the eigenvectors of A and m_0 = 0 (nothing but 1 / K is left of it at the end), m_1 = 1 and all others are
at least 1: alpha_bar is what is kept of the slowest difference, which for categories in a row is that between its two
ends, and all finer ones are gone sooner. If all rates are alike, every m_k is 1, and this is the uniform process.

Numerics: sums over eigenvectors cancel where an entry is small. So the matrix of a move is a product of matrices for
the binary digits of tau, three at a time, which float64 has made once: all entries are positive, and each keeps about
1e-6 of its value, however small. It takes ten products of K x K for each example of a batch.

Reference: Austin et al. (2021), arXiv:2107.03006, appendix A.2, for such matrices; Campbell et al. (2022),
arXiv:2205.14987, for the loss in continuous time.
"""

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64, Int, Key

from catgen.distributions import categorical
from catgen.interfaces import InputError
from catgen.processes.costs import cost_of
from catgen.processes.levels import Level, Span, over_events
from catgen.processes.process import Process

MOST_CLASSES = 256  # the work of an example grows with K^3
_RADIX, _NUM_DIGITS = 8, 10
_LARGEST = 4.0  # unit of the first digit of g tau; 8 units, e^-32, are the end
_HIGHEST = jax.lax.Precision.HIGHEST
_SHAPES = {
  "nearest": lambda distance, reach: (distance <= reach).astype(float),
  "gaussian": lambda distance, reach: np.exp(-0.5 * (distance / reach) ** 2),
}


class Kernel(NamedTuple):
  """The generator A / g, and what is made of it."""

  rates: Float64[np.ndarray, "classes classes"]  # off the diagonal, which is 0
  modes: Float64[np.ndarray, "classes classes"]  # eigenvectors v_k, in columns, without that of 1 / K
  speeds: Float64[np.ndarray, "classes"]  # m_k >= 1 of these
  powers: Float[np.ndarray, "digits radix classes classes"]  # of the moves of 0 to 7 units


def process(num_classes: int, /, *, shape: str = "nearest", reach: float = 1.0) -> Process:
  """Returns the process over K ordered categories, 2 <= K <= 256, that moves them to their neighbors.

  Args:
    shape: of the rates by distance: "nearest" (all alike up to `reach`, and none beyond) or "gaussian" (that fall off
      with the standard deviation `reach`).
    reach: in categories, at least 1; with "nearest" and K - 1 it is the uniform process.

  Raises:
    InputError: another shape, a smaller reach, or another number of categories.
  """
  if shape not in _SHAPES:
    raise InputError(f"process 'kernel': shape is {shape!r}; choose one of {', '.join(_SHAPES)}")
  if not 1 <= reach < math.inf:
    raise InputError(f"process 'kernel': reach is {reach}; it must be a number of categories from 1 on")
  check_classes("kernel", num_classes)
  return of_kernel(kernel_of(rates_by_distance(num_classes, shape, reach)))


def check_classes(name: str, num_classes: int) -> None:
  """Raises InputError where there are too few categories to move, or too many for matrices."""
  if not 2 <= num_classes <= MOST_CLASSES:
    raise InputError(f"process {name!r} takes 2 to {MOST_CLASSES} categories, not {num_classes}; use 'uniform'")


def of_kernel(kernel: Kernel) -> Process:
  """Returns the process of a kernel, whatever its categories are."""
  bind, num_classes = partial(partial, kernel=kernel), len(kernel.rates)
  return Process(
    num_classes=num_classes,
    num_states=num_classes,
    needs_zero_end=False,
    marginal=bind(marginal),
    corrupt=bind(corrupt),
    posterior=bind(posterior),
    predictive=bind(predictive),
    kl=bind(kl),
    kl_rate=bind(kl_rate),
    prior_sample=bind(prior_sample),
    prior_log_prob=bind(prior_log_prob),
    prior_kl=bind(prior_kl),
    exact_clamping=False,
    likelihood=bind(marginal),  # all matrices are symmetric
    keep_at=bind(keep_at),
  )


def rates_by_distance(num_classes: int, shape: str, reach: float) -> Float64[np.ndarray, "classes classes"]:
  """Returns the rates of categories in a row."""
  places = np.arange(num_classes)
  distance = np.abs(places[:, None] - places[None, :])
  return np.where(distance > 0, _SHAPES[shape](distance, reach), 0.0)


def kernel_of(rates: Float64[np.ndarray, "classes classes"]) -> Kernel:
  """Returns the kernel of a symmetric matrix of rates that connects all categories, 0 on its diagonal."""
  speeds, modes = np.linalg.eigh(np.diag(rates.sum(-1)) - rates)
  gap = speeds[1]
  return Kernel(rates / gap, modes[:, 1:], np.maximum(speeds[1:] / gap, 1.0), _powers(rates / gap))


def _powers(rates: Float64[np.ndarray, "classes classes"]) -> Float[np.ndarray, "digits radix classes classes"]:
  """Returns the matrices of the moves of d units of each digit, made without a difference."""
  unit = _LARGEST / _RADIX ** (_NUM_DIGITS - 1)
  stay = rates.sum(-1).max() * unit  # of the shortest move; what leaves no category is added again
  shortest = unit * (rates + np.diag(rates.sum(-1).max() - rates.sum(-1)))
  term = one = np.eye(len(rates))
  for order in range(1, 20):
    term = term @ shortest / order
    one = one + term
  one, powers = one * math.exp(-stay), []
  for _ in range(_NUM_DIGITS):
    digits = [np.eye(len(rates))]
    for _ in range(_RADIX):
      digits.append(digits[-1] @ one)
    powers.append(np.stack(digits[:-1]))
    one = digits[-1]
  return np.stack(powers[::-1]).astype(np.float32)


def matrix(level: Level, kernel: Kernel) -> Float[Array, "some classes classes"]:
  """Returns Q of a level or move for each example, or one for all, its rows the laws of what a category becomes."""
  keep, lost = (jnp.atleast_1d(jnp.asarray(each, jnp.float32)) for each in level)
  small = lost < 0.5
  tau = -jnp.where(small, jnp.log1p(-jnp.where(small, lost, 0.0)), jnp.log(jnp.where(small, 1.0, keep)))
  tau = jnp.minimum(tau, _LARGEST * _RADIX * (1 - 2.0**-20))

  def digit(carry: tuple[Array, Array], place: tuple[Array, Array]) -> tuple[tuple[Array, Array], None]:
    (product, rest), (powers, unit) = carry, place
    number = jnp.floor(rest / unit)
    chosen = powers[number.astype(jnp.int32)]
    return (jnp.matmul(product, chosen, precision=_HIGHEST), rest - number * unit), None

  units = jnp.asarray(_LARGEST / np.float64(_RADIX) ** np.arange(_NUM_DIGITS), jnp.float32)
  start = jnp.broadcast_to(jnp.eye(len(kernel.rates)), (len(tau), *kernel.rates.shape))
  (product, rest), _ = jax.lax.scan(digit, (start, tau), (jnp.asarray(kernel.powers), units))
  product = jnp.matmul(product, _rest_of_move(rest, kernel), precision=_HIGHEST)
  return product / product.sum(-1, keepdims=True)


def _rest_of_move(rest: Float[Array, "some"], kernel: Kernel) -> Float[Array, "some classes classes"]:
  """Returns the matrix of what is shorter than a unit of the last digit, with its terms of up to second order.

  Its factor exp(-rest max leaving) is left out: it is that of all rows, which `matrix` normalizes.
  """
  leaving = kernel.rates.sum(-1)
  moves = kernel.rates + np.diag(leaving.max() - leaving)
  none, once, twice = (jnp.asarray(each, jnp.float32)[None] for each in (np.eye(len(moves)), moves, moves @ moves / 2))
  rest = rest[:, None, None]
  return none + rest * once + rest**2 * twice


def _rows(matrices: Array, states: Int[Array, "batch *event"]) -> Float[Array, "batch ..."]:
  """Returns the rows of each example's matrix, or of the one of all, at its states."""
  if len(matrices) == 1:
    return matrices[0][states]
  return jax.vmap(lambda of_example, state: of_example[state])(matrices, states)


def _log(values: Array) -> Array:
  """Returns the logarithm, and a slope of zero where it is -inf."""
  return jnp.where(values > 0, jnp.log(jnp.where(values > 0, values, 1.0)), -jnp.inf)


def _mixed(log_x0: Float[Array, "batch *event classes"], matrices: Array) -> tuple[Array, Array]:
  """Returns what is predicted of a later state, sum_i exp(log_x0_i) Q_ij, and its logarithm, which never underflows."""
  flat = jnp.exp(log_x0).reshape(log_x0.shape[0], -1, log_x0.shape[-1])
  mixed = jnp.matmul(flat, matrices, precision=_HIGHEST).reshape(log_x0.shape)
  stays = _log(jnp.diagonal(matrices, axis1=1, axis2=2))
  own = log_x0 + stays.reshape(stays.shape[0], *(1,) * (log_x0.ndim - 2), stays.shape[1])
  return mixed, jnp.maximum(_log(mixed), own)


def marginal(x: Int[Array, "batch *event"], level: Level, *, kernel: Kernel) -> Float[Array, "batch *event classes"]:
  """Returns log q(x_t | x); with the level of a single move, log q(x_t | x_s)."""
  return _log(_rows(matrix(level, kernel), x))


def corrupt(
  keys: Key[Array, "batch"], x: Int[Array, "batch *event"], level: Level, *, kernel: Kernel
) -> Int[Array, "batch *event"]:
  """Draws x_t ~ q(x_t | x)."""
  return categorical.sample_each(keys, marginal(x, level, kernel=kernel)).astype(x.dtype)


def posterior(
  x_t: Int[Array, "batch *event"], x: Int[Array, "batch *event"], span: Span, *, kernel: Kernel
) -> Float[Array, "batch *event classes"]:
  """Returns log q(x_s | x_t, x), proportional to Q_(t|s)[x_s, x_t] Q_s[x, x_s]."""
  return jax.nn.log_softmax(marginal(x_t, span.step, kernel=kernel) + marginal(x, span.s, kernel=kernel))


def predictive(
  x_t: Int[Array, "batch *event"], log_x0: Float[Array, "batch *event classes"], span: Span, *, kernel: Kernel
) -> Float[Array, "batch *event classes"]:
  """Returns log p(x_s | x_t), the posterior with the prediction in place of x."""
  _, log_mixed = _mixed(log_x0, matrix(span.s, kernel))
  return jax.nn.log_softmax(marginal(x_t, span.step, kernel=kernel) + log_mixed)


def kl(
  x_t: Int[Array, "batch *event"],
  x: Int[Array, "batch *event"],
  log_x0: Float[Array, "batch *event classes"],
  span: Span,
  *,
  kernel: Kernel,
) -> Float[Array, "batch *event"]:
  """Returns KL(q(x_s | x_t, x) || p(x_s | x_t)) in nats per position; at s = 0, -log p(x_0 = x | x_t).

  Numerics: a sum of terms r - 1 - ln r, r = p / q. It means nothing where x_t comes from x with less than 1e-37.
  """
  at_s = matrix(span.s, kernel)
  comes, true, (mixed, log_mixed) = _rows(matrix(span.step, kernel), x_t), _rows(at_s, x), _mixed(log_x0, at_s)
  z, log_zp = (
    _chance((comes * true).sum(-1, keepdims=True)),
    jax.nn.logsumexp(_log(comes) + log_mixed, axis=-1, keepdims=True),
  )
  q, p = comes * true / z, jnp.exp(_log(comes) + log_mixed - log_zp)
  return _cost(q, p, mixed, true, log_mixed, jnp.log(z), log_zp)


def _chance(values: Array) -> Array:
  """Returns probabilities that can be divided by: what is so improbable is never drawn."""
  return jnp.maximum(values, 1e-37)


def _cost(q: Array, p: Array, mixed: Array, true: Array, log_mixed: Array, log_z: Array, log_zp: Array) -> Array:
  """Returns the sum of `cost_of` with p / q = (mixed / true) (z / zp)."""
  safe = jnp.where(true > 0, true, 1.0)
  excess = mixed / safe * jnp.exp(jnp.minimum(log_z - log_zp, 80.0)) - 1.0
  log_r = jnp.where(q > 0, log_mixed, 0.0) - jnp.log(safe) + (log_z - log_zp)
  return cost_of(q, p, jnp.where(q > 0, excess, 1.0), log_r).sum(-1)


def kl_rate(
  x_t: Int[Array, "batch *event"],
  x: Int[Array, "batch *event"],
  log_x0: Float[Array, "batch *event classes"],
  level: Level,
  slope: Float[Array, "batch"],
  *,
  kernel: Kernel,
) -> Float[Array, "batch *event"]:
  """Returns the rate at which the continuous-time bound loses nats, per position and unit of time.

  With q = q(. | x) at time t, p the same with the prediction in place of x, u = x_t, r = q / q_u and r' = p / p_u it is
  (slope / alpha_bar) sum_(j != u) A_ju / g [r_j ln(r_j / r_j') - r_j + r_j'], the limit of T KL for T -> infinity.
  """
  at_t = matrix(level, kernel)
  true, (mixed, log_mixed) = _rows(at_t, x), _mixed(log_x0, at_t)
  here = x_t[..., None]
  q_u, log_pu = (jnp.take_along_axis(each, here, axis=-1) for each in (true, log_mixed))
  q_u = _chance(q_u)
  rates = jnp.asarray(kernel.rates, jnp.float32)[x_t]
  q, p = rates * true / q_u, rates * jnp.exp(log_mixed - log_pu)
  beta = over_events(slope, x.ndim) / over_events(level.keep, x.ndim)
  return beta * _cost(q, p, mixed, true, log_mixed, jnp.log(q_u), log_pu)


def prior_sample(
  keys: Key[Array, "batch"], event_shape: tuple[int, ...], *, kernel: Kernel
) -> Int[Array, "batch *event"]:
  """Draws x_T uniformly."""
  return jax.vmap(lambda key: jax.random.randint(key, event_shape, 0, len(kernel.rates)))(keys)


def prior_log_prob(x_t: Int[Array, "batch *event"], *, kernel: Kernel) -> Float[Array, "batch *event"]:
  """Returns -log K at every position."""
  return jnp.full(x_t.shape, -math.log(len(kernel.rates)))


def prior_kl(x: Int[Array, "batch *event"], level: Level, *, kernel: Kernel) -> Float[Array, "batch *event"]:
  """Returns KL(q(x_T | x) || uniform) in nats per position.

  Numerics: a sum of terms r - 1 - ln r, of K q - 1 = K sum_(k > 0) alpha_bar^(m_k) v_k v_k', so that a tiny value keeps
  its digits; meant for the end, where alpha_bar is small.
  """
  num_classes, keep = len(kernel.rates), jnp.atleast_1d(jnp.asarray(level.keep))
  modes = jnp.asarray(kernel.modes, jnp.float32)
  left = keep[:, None] ** jnp.asarray(kernel.speeds, jnp.float32)[None]
  more = num_classes * jnp.matmul(modes[None] * left[:, None], modes.T, precision=_HIGHEST)
  ratio = jnp.maximum(1.0 + more, 1e-30)  # K q
  uniform = jnp.full_like(ratio, 1 / num_classes)
  costs = cost_of(ratio / num_classes, uniform, -more / ratio, -jnp.log1p(jnp.maximum(more, 1e-30 - 1.0))).sum(-1)
  return _rows(costs, x)


def keep_at(wrong: Float[Array, ""] | float, *, kernel: Kernel) -> Array:
  """Returns alpha_bar where a share of the categories is wrong, for categories that are all as frequent."""
  keep = np.linspace(0.0, 1.0, 4097)
  kept = (1 + (keep[:, None] ** kernel.speeds[None]).sum(-1)) / len(kernel.rates)
  return jnp.interp(1 - jnp.asarray(wrong, jnp.float32), jnp.asarray(kept), jnp.asarray(keep))
