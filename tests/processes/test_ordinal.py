"""Noise that moves categories to their neighbors: the uniform process as a special case, its matrices, refusals."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen.interfaces import InputError
from catgen.processes import PROCESSES, SCHEDULES, ordinal
from catgen.processes.levels import Level
from catgen.processes.schedules import levels, spans
from tests.contracts import exact
from tests.processes.test_interpolating import everything_said
from tests.processes.test_processes import K, make, pairs, predictions


def test_where_all_rates_are_alike_it_is_the_uniform_process():
  x_t, x = (each[:, None] for each in pairs(K))
  log_x0, table = predictions(len(x), K, scale=2.0)[:, None], SCHEDULES["cosine"].make().table(6)
  processes = make("uniform"), PROCESSES["kernel"](reach=K - 1.0)(K)
  said = [jax.jit(functools.partial(everything_said, process)) for process in processes]
  for s, t in ((0, 1), (2, 5), (5, 6)):
    move = jax.tree.map(lambda a: np.full(len(x), a[0]), spans(table, np.array([s, t])))
    level = Level(*(np.full(len(x), each[min(t, 5)]) for each in levels(table)))
    uniform, found = (each(x_t, x, log_x0, level, np.full(len(x), 0.7, np.float32), move) for each in said)
    for what, expected in uniform.items():
      np.testing.assert_allclose(found[what], expected, rtol=2e-5, atol=2e-6, err_msg=f"{what}, {s} -> {t}")
  np.testing.assert_allclose(processes[1].keep_at(0.3), processes[0].keep_at(0.3), rtol=1e-3)


@pytest.mark.parametrize("shape", ["nearest", "gaussian"])
def test_every_entry_of_a_matrix_keeps_its_digits_however_small(shape):
  num_classes, lost = 12, np.array([3e-7, 1e-4, 0.02, 0.4, 0.9, 1 - 1e-4, 1.0])
  kernel = ordinal.kernel_of(ordinal.rates_by_distance(num_classes, shape, 1.5))
  level = Level(*(np.asarray(each, np.float32) for each in (1 - lost, lost)))
  found = np.asarray(jax.jit(lambda level: ordinal.matrix(level, kernel))(level), np.float64)
  np.testing.assert_allclose(found.sum(-1), 1.0, rtol=1e-6)
  np.testing.assert_allclose(found.sum(-2), 1.0, rtol=5e-6)
  rates = kernel.rates - np.diag(kernel.rates.sum(-1))
  for each, part in zip(found, lost, strict=True):
    tau = -np.log1p(-min(part, 1 - 1e-14))
    halvings = 30
    step = np.eye(num_classes) + rates * tau / 2**halvings  # all positive: it keeps the digits of small entries
    expected = np.linalg.matrix_power(step, 2**halvings)
    counted = expected > (1e-15 if part < 1e-5 else 1e-30)
    np.testing.assert_allclose(each[counted], expected[counted], rtol=2e-5)


def test_neighbors_come_first_and_what_is_far_costs_a_number():
  process, x = make("kernel", 27), jnp.full(27, 13)
  level, early = Level(np.float32(0.999), np.float32(1e-3)), spans(SCHEDULES["cosine"].make().table(1000), np.arange(3))
  log_x0, first = jnp.asarray(predictions(27, 27)), jax.tree.map(lambda a: a[0], early)
  marginal, losses = jax.jit(lambda x_t: (jnp.exp(process.marginal(x, level))[0], process.kl(x_t, x, log_x0, first)))(
    jnp.arange(27)
  )
  assert np.isfinite(losses).all()
  assert np.all(np.diff(marginal[13:]) < 0)
  np.testing.assert_allclose(marginal[12], marginal[14], rtol=1e-5)
  np.testing.assert_allclose(marginal, exact.kernel("kernel", 27, 0.999)[13], rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize(
  ("options", "num_classes", "message"),
  [
    ({"shape": "square"}, 4, "shape is 'square'"),
    ({"reach": 0.5}, 4, "reach is 0.5"),
    ({}, 257, "2 to 256 categories, not 257"),
    ({}, 1, "2 to 256 categories, not 1"),
  ],
)
def test_what_is_no_kernel_is_refused(options, num_classes, message):
  with pytest.raises(InputError, match=message):
    PROCESSES["kernel"](**options)(num_classes)
