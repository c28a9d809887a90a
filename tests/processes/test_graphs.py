"""Noise by rates of pairs: the processes that it contains, what it counts, and what is no matrix of rates."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from catgen.batches import batch_of
from catgen.data import frequencies
from catgen.data.splits import record_split
from catgen.data.touching import touching_of
from catgen.interfaces import EventSpec, InputError
from catgen.processes import PROCESSES, SCHEDULES, graphs, make_process
from catgen.processes.levels import Level
from catgen.processes.schedules import levels, spans
from tests.processes.test_interpolating import everything_said
from tests.processes.test_processes import K, make, pairs, predictions


@pytest.mark.parametrize(
  ("name", "rates"),
  [
    pytest.param("uniform", tuple((a, b, 3.0) for a, b in itertools.combinations(range(K), 2)), marks=pytest.mark.slow),
    ("kernel", ((1, 0, 0.2), (0, 1, 0.2), (1, 2, 0.2), (0, 2, 0.0))),
  ],
)
def test_pairs_of_one_rate_are_the_uniform_process_and_pairs_in_a_row_those_of_ranks(name, rates):
  x_t, x = (each[:, None] for each in pairs(K))
  log_x0, table = predictions(len(x), K, scale=2.0)[:, None], SCHEDULES["cosine"].make().table(6)
  processes = make(name), PROCESSES["pairs"](rates=rates)(K)
  said = [jax.jit(functools.partial(everything_said, process)) for process in processes]
  move = jax.tree.map(lambda a: np.full(len(x), a[0]), spans(table, np.array([2, 5])))
  level = Level(*(np.full(len(x), each[5]) for each in levels(table)))
  known, found = (each(x_t, x, log_x0, level, np.full(len(x), 0.7, np.float32), move) for each in said)
  for what, expected in known.items():
    np.testing.assert_allclose(found[what], expected, rtol=2e-5, atol=2e-6, err_msg=what)


def split_of(x, valid):
  return record_split(len(x), lambda numbers: batch_of(x[numbers], valid[numbers], index=numbers))


def test_categories_that_touch_are_counted_once_more_in_every_direction(monkeypatch):
  x = np.array([[[0, 0, 1], [2, 0, 1]], [[2, 2, 1], [0, 3, 1]]], np.int32)
  valid = np.ones(x.shape, bool)
  valid[1, 1, 1] = False  # what is not there touches nothing
  # right: 00 01, 20 01, 22 21, -; below: 02 00 11, 20 -- 11
  counts = {(0, 1): 2, (0, 2): 3, (1, 2): 1}
  expected = np.array([1 + counts.get(pair, 0) for pair in itertools.combinations(range(4), 2)])
  np.testing.assert_allclose(touching_of(split_of(x, valid), 4), expected / expected.sum(), rtol=1e-12)
  monkeypatch.setattr(frequencies, "_AT_ONCE", 1)
  np.testing.assert_allclose(touching_of(split_of(x, valid), 4), expected / expected.sum(), rtol=1e-12)
  rows = np.array([[0, 3, 3, 0]], np.int32)
  assert touching_of(split_of(rows, rows >= 0), 4) == (1 / 8, 1 / 8, 3 / 8, 1 / 8, 1 / 8, 1 / 8)
  with pytest.raises(InputError, match="at most 256 categories, and there are 257"):
    touching_of(split_of(rows, rows >= 0), 257)


def test_the_moves_of_neighbors_are_by_how_often_they_touch():
  touching = (0.5, 0.1, 0.1, 0.2, 0.05, 0.05)
  process = make_process(PROCESSES["neighbors"](), EventSpec((2, 2), 4, touching=touching))
  number = np.zeros((4, 4))
  number[np.triu_indices(4, 1)] = touching
  number += number.T
  each = number.sum(axis=0)
  generator = number / np.sqrt(np.outer(each, each))
  generator -= np.diag(generator.sum(axis=0))
  gap = np.sort(np.linalg.eigvalsh(-generator))[1]
  level = Level(np.float32(0.7), np.float32(0.3))
  law = np.exp(jax.jit(lambda x: process.marginal(x, level))(jnp.arange(4)))
  np.testing.assert_allclose(law, scipy.linalg.expm(-np.log(0.7) / gap * generator), rtol=2e-6)
  assert law[0, 1] > law[0, 2]


@pytest.mark.parametrize(
  ("rates", "message"),
  [
    (((0, 1, 1.0),), "'pairs': no moves lead from category 0 to 2; give rates that connect all"),
    (((0, 1, 1.0), (1, 2, 0.0)), "no moves lead from category 0 to 2"),
    (((0, 1, 1.0), (1, 0, 2.0), (1, 2, 1.0)), "1 and 0 have the rates 1 and 2: they must be as fast there as back"),
    (((0, 1, -1.0),), "the rate of 0 and 1 is -1.0; it must be a number from 0 on"),
    (((0, 1, float("nan")),), "the rate of 0 and 1 is nan"),
    (((0, 3, 1.0),), "0 and 3 are no pair of two of the categories 0 to 2"),
    (((1, 1, 1.0),), "1 and 1 are no pair"),
    (((0.5, 1, 1.0),), "0.5 and 1 are no pair"),
    (((0, 1),), "is no pair: give two categories and a rate"),
    (((0, 1, 1e7), (1, 2, 1.0)), "hardly connect all categories"),
  ],
)
def test_what_is_no_list_of_rates_is_refused(rates, message):
  with pytest.raises(InputError, match=message):
    PROCESSES["pairs"](rates=rates)(3)


def test_what_is_no_matrix_of_rates_or_not_counted_is_refused():
  one_way = np.array([[0.0, 1, 1], [1, 0, 0], [1, 2, 0]])
  with pytest.raises(InputError, match="'mine': 1 and 2 have the rates 0 and 2: they must be as fast there as back"):
    graphs.of_rates("mine", one_way)
  with pytest.raises(InputError, match="'mine': a rate is not a number from 0 on"):
    graphs.of_rates("mine", -np.ones((3, 3)))
  with pytest.raises(InputError, match=r"EventSpec\.touching is None; use process 'pairs'"):
    make_process(PROCESSES["neighbors"](), EventSpec((2,), 3))
  for name, told in (("pairs", {"rates": ()}), ("neighbors", {})):
    for number in (1, 257):
      with pytest.raises(InputError, match=f"process '{name}' takes 2 to 256 categories, not {number}; use 'uniform'"):
        make_process(PROCESSES[name](**told), EventSpec((2,), number))


def test_rates_that_are_far_apart_keep_the_digits_of_their_matrices():
  rates = ((0, 1, 3e4), (1, 2, 1.0))
  process = PROCESSES["pairs"](rates=rates)(3)
  matrix = np.zeros((3, 3))
  for a, b, rate in rates:
    matrix[a, b] = matrix[b, a] = rate
  generator = matrix - np.diag(matrix.sum(axis=0))
  gap = np.sort(np.linalg.eigvalsh(-generator))[1]
  for lost in (1e-6, 1e-3, 0.5):
    level = Level(np.float32(1 - lost), np.float32(lost))
    found = np.exp(jax.jit(lambda x, level=level: process.marginal(x, level))(jnp.arange(3)))
    expected = scipy.linalg.expm(-np.log1p(-lost) / gap * generator)
    np.testing.assert_allclose(found, expected, rtol=3e-5)
