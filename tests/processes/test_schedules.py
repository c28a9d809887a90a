"""Schedules: published values, monotony, both ends, and float64 references."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen.interfaces import InputError
from catgen.processes.schedules import SCHEDULES, continuous_level, polynomial, spans


@pytest.mark.parametrize(("num_steps", "first", "last"), [(1000, 0.9999793577, 4.93e-5), (4000, 0.9999950671, 1.23e-5)])
def test_paper_cosine_has_the_published_values(num_steps, first, last):
  table = SCHEDULES["paper_cosine"].make().table(num_steps).keep
  np.testing.assert_allclose(table[1], first, atol=1e-10)
  np.testing.assert_allclose(table[-1], last, rtol=2e-3)
  np.testing.assert_allclose(table[-1] / table[-2], np.sqrt(0.001), rtol=1e-9)
  np.testing.assert_allclose(table[num_steps // 2], 0.7027400589, atol=1e-9)


@pytest.mark.parametrize("name", sorted(SCHEDULES))
@pytest.mark.parametrize("num_steps", [1, 2, 10, 1000])
def test_tables_decrease_from_one(name, num_steps):
  schedule = SCHEDULES[name].make()
  table, lost = schedule.table(num_steps)
  assert table.shape == (num_steps + 1,)
  assert table.dtype == np.float64
  assert table[0] == 1.0
  assert np.all(np.diff(table) < 0)
  np.testing.assert_allclose(table + lost, 1.0, rtol=1e-15)
  assert (table[-1] == 0.0) == schedule.ends_at_zero


@pytest.mark.parametrize("name", sorted(set(SCHEDULES) - {"paper_cosine"}))
def test_float32_functions_match_float64_everywhere(name):
  schedule = SCHEDULES[name].make()
  times = np.concatenate([np.logspace(-6, -1, 20), np.linspace(0.1, 1, 20)])

  @jax.jit
  def found(times):
    return *continuous_level(schedule, times), jax.vmap(jax.grad(lambda t: schedule.lost(t, jnp)))(times)

  level, slope, derivative = found(times.astype(np.float32))
  exact = times.astype(np.float32).astype(np.float64)
  np.testing.assert_allclose(level.lost, schedule.lost(exact, np), rtol=1e-5)
  np.testing.assert_allclose(level.keep, schedule.keep(exact, np), rtol=1e-5, atol=1e-7)
  np.testing.assert_allclose(slope, derivative, rtol=1e-4)


def test_spans_compose():
  table = SCHEDULES["cosine"].make().table(50)
  span = spans(table, np.array([0, 7, 20, 50]))
  np.testing.assert_allclose(span.s.keep * span.step.keep, span.t.keep, rtol=1e-6)
  np.testing.assert_allclose(span.step.keep + span.step.lost, 1.0, rtol=1e-6)


def test_refusals():
  with pytest.raises(InputError, match="power"):
    polynomial(0.5)
  with pytest.raises(InputError, match="discrete"):
    continuous_level(SCHEDULES["paper_cosine"].make(), jnp.ones(1))
