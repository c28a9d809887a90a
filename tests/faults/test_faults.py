"""The faults by the hundred are `python -m tests.faults`; here are twenty, and that the checks see what is wrong.

In the default suite tests/launch/test_processes.py draws two.
"""

import collections
import random
import time

import pytest

from tests.faults import checks
from tests.faults.campaign import FAULTS, Campaign, planned
from tests.faults.scene import Lost
from tests.faults.subjects import TEXT, Subject


class Imagined:
  """A scene of which only what has been written is known."""

  def __init__(self, newest, lines, excused=()):
    self.subject = Subject("text", "text_file", None, {**TEXT, "training.num_steps": 400})
    self.newest, self._lines, self.excused = newest, lines, set(excused)

  def lines(self):
    return self._lines


REPORTS = [("train", step) for step in range(20, 401, 20)]
VALIDATIONS = [("validation", 200), ("validation", 400)]


def test_checks_pass_what_is_whole_and_the_validation_that_is_made_late():
  checks.nothing_lost(Imagined(400, REPORTS + VALIDATIONS), reached=400)
  checks.nothing_lost(Imagined(400, REPORTS + VALIDATIONS[:1]), reached=350)
  checks.nothing_lost(Imagined(200, REPORTS), reached=200)


@pytest.mark.parametrize(
  ("newest", "lines", "message"),
  [
    (350, REPORTS + VALIDATIONS, "there was one of step 400"),
    (400, REPORTS[1:] + VALIDATIONS, r"lacks \[\('train', 20\)\]"),
    (400, REPORTS + VALIDATIONS[1:], r"lacks \[\('validation', 200\)\]"),
    (400, REPORTS + VALIDATIONS * 2, "more than once"),
  ],
)
def test_checks_see_what_is_lost_or_there_twice(newest, lines, message):
  with pytest.raises(Lost, match=message):
    checks.nothing_lost(Imagined(newest, lines), reached=400)


def test_what_a_fault_has_deleted_is_not_missed():
  checks.nothing_lost(Imagined(400, REPORTS[1:] + VALIDATIONS, excused=REPORTS[:1]), reached=400)


@pytest.mark.parametrize(("kills", "others"), [(100, 100), (10, 10), (3, 0)])
def test_a_plan_has_as_many_faults_as_are_asked_for_and_comes_of_its_seed(kills, others):
  rounds = planned(kills, others, seed=1)
  drawn = collections.Counter(name for round in rounds for name in round.faults)
  assert sum(count for name, count in drawn.items() if name.startswith("SIGKILL")) == kills
  assert sum(drawn.values()) == kills + others
  assert drawn.keys() <= FAULTS.keys()
  assert kills + others < 200 or drawn.keys() == FAULTS.keys()
  assert rounds == planned(kills, others, seed=1)
  assert kills < 10 or rounds != planned(kills, others, seed=2)


@pytest.mark.slow
def test_twenty_faults_cost_nothing(tmp_path):
  campaign = Campaign(tmp_path, kills=10, others=10, seed=random.Random(time.time_ns()).randrange(10**6))
  campaign.run()
  print(campaign.table())
  assert not campaign.failures
