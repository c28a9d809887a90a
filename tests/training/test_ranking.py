"""The numbers of checkpoints, by which the best one is chosen."""

import json

import pytest

from catgen.training import ranking


@pytest.fixture
def checkpoints(tmp_path):
  (tmp_path / "3" / "metrics").mkdir(parents=True)

  def holding(numbers):
    (tmp_path / "3" / "metrics" / "metrics").write_text(json.dumps(numbers))
    return str(tmp_path)

  return holding


def test_numbers_without_a_point_are_numbers(checkpoints):
  found = ranking.read_metrics(checkpoints({"bits": 5, "other": 2.5}), 3)
  assert found == {"bits": 5.0, "other": 2.5}
  assert {type(value) for value in found.values()} == {float}


@pytest.mark.parametrize("numbers", [{"bits": 10**400}, {"bits": "5"}, [5]])
def test_what_is_no_number_is_damaged(numbers, checkpoints):
  folder = checkpoints(numbers)
  with pytest.raises(ValueError):  # noqa: PT011 (whatever it says)
    ranking.read_metrics(folder, 3)
  assert ranking.best_step(folder, [3], "bits") is None
