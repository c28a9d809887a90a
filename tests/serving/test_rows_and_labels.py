"""Rows of tables, arrays and labels over the endpoints: what the functions of catgen.runs give, as JSON."""

import numpy as np
import pytest

from catgen.serving import performing, served
from tests.evaluation.test_given import TABLE
from tests.serving.conftest import client_of
from tests.serving.test_endpoints import assert_near, events, posted

ROW = {"job": "one", "paid": "90.0", "only": "x"}


@pytest.fixture(scope="module")
def client(others, worker):
  return client_of(others, worker)


def test_models_say_what_their_examples_are(client):
  rows, labels = client.get("/api/models").json()["models"]
  assert (rows["example"], rows["columns"], rows["labels"]) == ("row", ["job", "paid", "only"], [])
  assert (labels["example"], labels["labels"]) == ("array", [{"name": "color", "values": ["red", "blue"]}])
  assert labels["guided"] is True
  assert labels["can"] == {"watch": False, "infill": True, "prefix_only": False, "correct": True}


def test_rows_are_objects_by_the_names_of_columns(client, others):
  found = posted(client, "sample", model="rows", num_samples=3, seed=4)["examples"]
  run = others["rows"].run
  assert found == [run.decode(x) for x in run.sample(3, seed=4).x]
  assert all(list(row) == ["job", "paid", "only"] for row in found)
  assert events(client, "sample", model="rows", num_samples=1, num_states=8)[-1][1]["examples"]


def test_cells_that_are_known_stay_as_they_were_sent(client):
  for example in ({"job": "one", "paid": "_", "only": "x"}, ["one", "_", "x"]):
    found = posted(client, "infill", model="rows", example=example, num_samples=4)["examples"]
    assert all((row["job"], row["only"]) == ("one", "x") and row["paid"] != "_" for row in found)
  found = posted(client, "infill", model="rows", example={"job": "?", "paid": "15.3", "only": "x"}, hole="?")
  assert all(row["paid"] == "15.3" for row in found["examples"])  # and not what its bin would be drawn as


def test_rows_are_scored_as_objects_and_as_lists(client, others):
  rows = [ROW, ["größer", "15.3", "x"]]
  found = posted(client, "score", model="rows", examples=rows, num_draws=1)
  assert found["unit"] == "bits per column"
  assert [each["positions"] for each in found["scores"]] == [3, 3]
  again = posted(client, "score", model="rows", examples=[list(ROW.values()), rows[1]], num_draws=1)
  assert_near(again["scores"], found["scores"])
  mended = posted(client, "correct", model="rows", example=ROW, error_rate=0.01)
  assert (mended["corrected"], mended["changes"]) == (ROW, [])  # a number too, and not what its bin would be drawn as
  told = {"corrected": {"job": "two", "paid": 88.1, "only": "x"}, "changes": [{"place": [0], "probability": 0.9}]}
  for row in (ROW, list(ROW.values())):
    assert performing.kept(row, told)["corrected"] == {**ROW, "job": "two"}


def test_results_that_a_model_is_introduced_by_are_of_its_own_law(others, monkeypatch):
  run, common = others["rows"].run, {"split": "test", "step": others["rows"].run.step, "value": 1.0}
  records = [{**common, "estimator": "order", "order": "margin"}, {**common, "estimator": "exact"}]
  monkeypatch.setattr(served, "evaluations", lambda folder: records)
  (found,) = served._results(run)
  assert (found["estimator"], found["bound"]) == ("exact", False)


WRONG = {
  "another column": ("score", {"model": "rows", "examples": [{**ROW, "age": "3"}]}, "age"),
  "a cell of nothing": ("score", {"model": "rows", "examples": [{**ROW, "job": "none"}]}, "none"),
  "a cell of cells": ("score", {"model": "rows", "examples": [[["a"], "1", "x"]]}, "a row is an object"),
  "a text for a row": ("infill", {"model": "rows", "example": "/etc/passwd"}, "a row is an object"),
  "a row without a hole": ("infill", {"model": "rows", "example": ROW}, "nothing is to be completed"),
  "a row letter by letter": ("correct", {"model": "rows", "example": ROW, "method": "channel"}, "takes too long here"),
  "another label": ("sample", {"model": "labels", "labels": ["color=green"]}, "green"),
  "a label of another name": ("sample", {"model": "labels", "labels": ["size=red"]}, "size"),
  "guidance without labels": ("sample", {"model": "labels", "guidance": 2}, "none is given"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_one_line(name, client):
  endpoint, body, line = WRONG[name]
  answer = client.post(f"/api/{endpoint}", json=body)
  assert answer.status_code == 422, answer.text
  assert line in answer.json()["error"]
  assert "\n" not in answer.json()["error"]


def test_labels_decide_what_is_drawn_completed_scored_and_corrected(client, others):
  run = others["labels"].run
  for given in ([], ["color=red"], ["color=blue"]):
    more = {"model": "labels", "labels": given}
    found = posted(client, "sample", num_samples=8, seed=2, **more)
    np.testing.assert_array_equal(found["examples"], run.sample(8, seed=2, given=given).x)
    found = posted(client, "infill", example=[3, -1, -1], seed=2, **more)["examples"]
    assert all(row[0] == 3 for row in found)
    found = posted(client, "score", examples=[[0, 1, 2], [3, 3, -1]], **more)
    law = np.asarray(TABLE)[["color=red", "color=blue"].index(given[0]) if given else 2]
    np.testing.assert_allclose([each["nats"] for each in found["scores"]], [law[:3].sum(), 2 * law[3]], rtol=1e-5)
    assert (found["estimator"], [each["positions"] for each in found["scores"]]) == ("exact", [3, 2])
    found = posted(client, "correct", example=[0, 1, 2], error_rate=0.1, **more)
    np.testing.assert_array_equal(found["corrected"], run.correct(np.array([0, 1, 2]), given=given, error_rate=0.1).x)
