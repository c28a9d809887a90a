"""What the time of a run goes into, by a clock that the tests turn."""

import numpy as np
import pytest

from catgen.interfaces import InputError
from catgen.training import accelerators
from catgen.training.ledger import KINDS, Ledger, goodput, last_of, measured
from catgen.training.stragglers import slowest
from catgen.training.utilization import Utilization


class Clock:
  """Seconds that pass when they are told to."""

  now = 100.0

  def __call__(self):
    return self.now


@pytest.fixture
def clock():
  return Clock()


def nonzero(seconds):
  return {kind: each for kind, each in seconds.items() if each}


def test_each_second_counts_once_for_the_innermost_thing(clock):
  ledger = Ledger(clock)
  clock.now += 5
  ledger.turn("training")
  clock.now += 10
  with ledger.spending("validating"):
    clock.now += 3
    with ledger.spending("compiling"):
      clock.now += 2
    clock.now += 1
  clock.now += 20
  ledger.moved("waiting", 4.0)
  found = ledger.read()
  expected = {"starting": 5.0, "training": 26.0, "validating": 4.0, "compiling": 2.0, "waiting": 4.0}
  assert nonzero(found) == expected
  assert sum(found.values()) == clock.now - 100
  assert goodput(found) == pytest.approx(26 / 41)
  assert set(measured(found)) == {*(f"time/{kind}" for kind in KINDS), "time/goodput"}


def test_an_error_in_a_block_ends_it(clock):
  ledger = Ledger(clock)

  def fail():
    with ledger.spending("saving"):
      clock.now += 1
      raise InputError("full")

  with pytest.raises(InputError, match="full"):
    fail()
  clock.now += 2
  assert nonzero(ledger.read()) == {"saving": 1.0, "starting": 2.0}


def line(step, **seconds):
  return {"step": step, **measured({**dict.fromkeys(KINDS, 0.0), **seconds})}


def test_what_was_trained_beyond_the_checkpoint_is_lost_and_all_else_goes_on(clock):
  lines = [
    {"step": 5, "validation/bits": 1.0},
    line(10, training=50.0, starting=5.0),
    line(20, training=90.0, starting=5.0, saving=2.0),
    line(30, training=130.0, starting=5.0, saving=2.0),
    {"step": 30, "validation/bits": 1.0},
  ]
  ledger = Ledger(clock)
  ledger.go_on(lines, 20)
  clock.now += 7
  assert nonzero(ledger.read()) == {"training": 90.0, "lost": 40.0, "starting": 12.0, "saving": 2.0}
  again = Ledger(clock)
  again.go_on([*lines[:3], line(25, training=95.0, lost=40.0)], 0)  # no checkpoint is left
  assert nonzero(again.read()) == {"lost": 135.0}
  assert last_of(lines)["training"] == 130.0
  assert last_of(lines[:1]) is None
  assert goodput(Ledger(clock).read()) == 0.0


@pytest.mark.parametrize(
  ("hosts", "step", "slow"),
  [
    ([0.1, 0.1, 0.1, 0.5], 1.0, 3),
    ([0.1, 0.1, 0.1, 0.19], 0.5, None),  # not twice as much
    ([0.01, 0.01, 0.01, 0.05], 1.0, None),  # four hundredths of a step
    ([0.01, 0.05, 0.01, 0.01], 0.1, 1),
    ([0.2, 0.2], 0.2, None),
    ([0.5, 0.1], 1.0, 0),
    ([0.15, 0.1], 0.2, None),
    ([0.0, 0.0], 0.0, None),  # nothing was timed
  ],
)
def test_a_process_is_slow_beyond_twice_the_median_and_a_tenth_of_a_step(hosts, step, slow):
  rows = np.array([[i, seconds, step] for i, seconds in enumerate(hosts)], np.float32)
  twice = np.concatenate([rows, rows])[np.random.default_rng(0).permutation(2 * len(rows))]  # two devices each
  found, median, most = slowest(twice)
  assert found == slow
  assert (median, most) == pytest.approx((sorted(hosts)[(len(hosts) - 1) // 2], max(hosts)))


class Traced:
  """A program, as far as it is looked at."""

  def __init__(self, function, *arguments):
    import jax

    self.jaxpr = jax.make_jaxpr(function)(*arguments)


def test_utilization_is_the_products_at_the_makers_rate_over_the_time():
  import jax.numpy as jnp

  kind = accelerators.TPUS["v5e"].kind
  utilization = Utilization(kind, 4)
  assert utilization.of(1.0) == {}  # nothing was counted
  x = np.ones((128, 128), jnp.bfloat16)
  utilization.count(Traced(lambda a: a @ a, x))
  least = 2 * 128**3 / 1.97e14 / 4
  assert utilization.of(2 * least)["mfu"] == pytest.approx(0.5)
  assert utilization.of(None) == {}
  assert Utilization("cpu", 1).known is None
