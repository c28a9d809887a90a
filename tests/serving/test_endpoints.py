"""What the endpoints give is what the functions of catgen.runs give, and what does not fit is one line."""

import json
import re

import numpy as np
import pytest

from catgen.bounds import estimate
from catgen.data.codecs import byte_codec, ended
from catgen.runs.score import score
from catgen.serving import performing
from catgen.serving.endpoints import ENDPOINTS, MOST_BYTES, openapi
from catgen.serving.fields import checked
from catgen.serving.served import described

FAST = {"num_steps": 8}
LINES = ["the cat sat on a", "cat mat", "a"]


def posted(client, name, **body):
  answer = client.post(f"/api/{name}", json=body)
  assert answer.status_code == 200, answer.text
  return answer.json()


def events(client, name, **body):
  answer = client.post(f"/api/{name}", json={**body, "stream": True})
  assert answer.headers["content-type"].startswith("text/event-stream")
  found = re.findall(r"event: (.*)\ndata: (.*)\n\n", answer.text)
  return [(event, json.loads(data)) for event, data in found]


def test_samples_are_those_of_the_command(client, models):
  found = posted(client, "sample", num_samples=3, seed=5, **FAST)
  run = models["text"].run
  drawn = run.sample(3, seed=5, num_steps=8)
  assert found["examples"] == [run.decode(x) for x in drawn.x]
  assert found["law"] == "drawn in 8 of 20 steps: a faster approximation of the model"


@pytest.mark.slow  # as of texts
def test_samples_of_maps_are_those_of_the_command(client, models):
  maps = posted(client, "sample", model="maps", num_samples=2, seed=1, temperature=0.5, **FAST)
  np.testing.assert_array_equal(maps["examples"], models["maps"].run.sample(2, seed=1, temperature=0.5, num_steps=8).x)
  assert maps["law"] == "drawn in 8 of 20 steps with temperature 0.5: not the model's own p(x)"


def test_a_stream_shows_states_and_ends_with_the_answer(client):
  found = events(client, "sample", num_samples=2, seed=5, num_states=8, **FAST)
  assert [name for name, _ in found[:2]] == ["queued", "started"]
  states = [content for name, content in found if name == "state"]
  assert [state["share"] for state in states] == sorted({state["share"] for state in states})
  assert states[0]["share"] == 0
  assert all(len(text) == 16 for state in states for text in state["examples"])
  assert found[-1][0] == "done"
  assert found[-1][1]["examples"] == posted(client, "sample", num_samples=2, seed=5, num_states=8, **FAST)["examples"]


def test_letters_appear_one_after_another(client):
  states = [content["examples"][0] for name, content in events(client, "sample", model="letters") if name == "state"]
  masks = [state.count("\u2591") for state in states]
  assert masks == sorted(masks, reverse=True)
  assert masks[0] == 16
  assert all(re.fullmatch("[^\u2591]*\u2591*", state) for state in states)


def test_what_is_given_stays_in_completions(client, models):
  found = posted(client, "infill", example="the #at", hole="#", num_samples=2, seed=3, **FAST)
  run = models["text"].run
  ours = run.infill("the #at", hole="#", num_samples=2, seed=3, num_steps=8)
  assert found["examples"] == [run.decode(x) for x in ours.x]
  assert all(text.startswith("the ") and text[5:7] == "at" for text in found["examples"])
  assert found["law"] == f"completions are {ours.explanation}"


@pytest.mark.slow  # as of texts
def test_what_is_given_stays_in_completions_of_maps(client):
  known = np.full((8, 8), -1)
  known[:4] = 0
  known[6, 6] = 2
  maps = np.array(posted(client, "infill", model="maps", example=known.tolist(), num_samples=4, **FAST)["examples"])
  assert (maps[:, known >= 0] == known[known >= 0]).all()
  assert ((maps >= 0) & (maps < 3)).all()


def test_scores_are_those_of_the_command(client, models):
  found = posted(client, "score", examples=LINES, seed=2)
  ours = score(models["text"].run, LINES, reference=1, seed=2)
  np.testing.assert_allclose([each["bits"] for each in found["scores"]], ours.bits, rtol=1e-6)
  np.testing.assert_allclose([each["monte_carlo_error"] for each in found["scores"]], ours.errors, rtol=1e-4)
  np.testing.assert_allclose(list(found["all"].values()), ours.estimate, rtol=1e-5)
  assert (found["estimator"], found["bound"], found["unit"]) == ("elbo", True, "bits per character")
  assert [each["positions"] for each in found["scores"]] == [16, 7, 1]
  exact = posted(client, "score", model="letters", examples=LINES)
  assert (exact["estimator"], exact["bound"], exact["all"]["monte_carlo_error"]) == ("exact", False, 0)


def test_errors_over_pieces_of_one_text_are_asked_for(client):
  lines = [f"the {word} sat" for word in ("cat", "mat", "on", "a", "the", "sat") * 2]
  plain, pieces = (posted(client, "compare", examples=lines, consecutive=pieces) for pieces in (False, True))
  assert plain["first"]["scores"] == pieces["first"]["scores"]
  for found, consecutive in ((plain, False), (pieces, True)):
    for name in ("first", "second"):
      nats, positions = (np.array([each[key] for each in found[name]["scores"]]) for key in ("nats", "positions"))
      wanted = estimate(nats[None], positions, consecutive=consecutive).data_error
      assert found[name]["all"]["data_error"] == pytest.approx(wanted, rel=1e-6)
  assert plain["difference"]["error"] != pieces["difference"]["error"] > 0
  few = posted(client, "score", examples=lines[:4], consecutive=True)
  assert few["all"]["data_error"] is None


def test_a_comparison_is_the_paired_difference(client):
  found = posted(client, "compare", models=["letters", "text"], examples=LINES)
  gap = [
    one["nats"] - other["nats"] for one, other in zip(found["first"]["scores"], found["second"]["scores"], strict=True)
  ]
  assert found["difference"]["bits"] == pytest.approx(-sum(gap) / np.log(2) / 24)
  assert found["first"] == {
    k: v for k, v in posted(client, "score", model="letters", examples=LINES).items() if k in found["first"]
  }


@pytest.mark.parametrize("model", ["text", "letters"])
def test_corrections_of_texts_are_those_of_the_command(client, models, model):
  found = posted(client, "correct", model=model, example="the cet", error_rate=0.1)
  run = models[model].run
  ours = run.correct("the cet", error_rate=0.1)
  assert found["corrected"] == run.decode(ours.x[:7])
  assert "".join(found["characters"]) == found["corrected"]
  changed = [i for i, (a, b) in enumerate(zip("the cet", found["corrected"], strict=True)) if a != b]
  assert [(each["place"], each["from"], each["to"]) for each in found["changes"]] == [
    (i, "the cet"[i], found["corrected"][i]) for i in changed
  ]


def test_corrections_of_maps_are_those_of_the_command(client, models):
  map_ = np.zeros((8, 8), int)
  map_[4:] = 1
  map_[2, 2] = 1
  mended = posted(client, "correct", model="maps", example=map_.tolist(), error_rate=0.05)
  np.testing.assert_array_equal(mended["corrected"], models["maps"].run.correct(map_, error_rate=0.05).x)


TOGETHER = {
  "sample": [{"num_samples": n, "seed": seed, **FAST} for n, seed in ((1, 7), (1, 8), (2, 7))],
  "infill": [{"example": text, "num_samples": 1, "seed": 1, **FAST} for text in ("the _at", "___ cat", "a")],
  "score": [{"examples": LINES}, {"examples": ["mat on a cat"]}],
  "correct": [{"example": text} for text in ("the cet", "sat on", "a mat")],
}


@pytest.mark.parametrize(
  "name", [pytest.param(name, marks=() if name == "infill" else pytest.mark.slow) for name in TOGETHER]
)
def test_requests_done_together_give_what_each_gives_alone(name, models):
  """Of one group, filled up to the size of a call; other seeds, numbers and lines beside it change nothing."""
  from catgen.serving.fields import checked
  from catgen.serving.requests import asked

  def results(bodies):
    told = {}
    works = [asked(name, models, checked(ENDPOINTS[name].takes, body), lambda *_: None) for body in bodies]
    for i, work in enumerate(works):
      (job,) = work.jobs
      job._tell = lambda news, i=i: told.setdefault(i, []).append(news)
    assert len({work.jobs[0].key for work in works}) == 1
    for _ in works[0].jobs[0].perform([work.jobs[0] for work in works]):
      pass
    answers = [work.answer([told[i][-1].value]) for i, work in enumerate(works)]
    return [{key: value for key, value in answer.items() if key != "seconds"} for answer in answers]

  assert_near(results(TOGETHER[name]), [results([body])[0] for body in TOGETHER[name]])


def assert_near(one, other):
  """JSON that is the same but for the rounding of sums in calls of other sizes."""
  if isinstance(one, dict):
    assert list(one) == list(other)
    one, other = list(one.values()), list(other.values())
  if isinstance(one, list):
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
      assert_near(a, b)
  else:
    assert one == (pytest.approx(other, rel=1e-4) if isinstance(other, float) else other)


def test_calls_have_few_sizes():
  assert {performing.filled(number) for number in range(1, 65)} == set(performing.SIZES)


WRONG = {
  "unknown model": ("sample", {"model": "no"}, "there is no model 'no'; the models are text, letters, maps"),
  "too many steps": ("sample", {"num_steps": 64}, "this model has T = 20; use 1 to 20"),
  "steps of letters": ("sample", {"model": "letters", "num_steps": 8}, "num_steps"),
  "many samples": ("sample", {"num_samples": 17}, "num_samples is 17; give 1 to 16"),
  "a temperature between": ("sample", {"temperature": 0.77}, "temperature is 0.77; give one of"),
  "a label of what has none": ("sample", {"labels": ["a=b"]}, "its data have no labels"),
  "guidance by nothing": ("sample", {"guidance": 2}, "guidance"),
  "no hole": ("infill", {"example": "the cat sat on a"}, "no hole"),
  "a pattern too long": ("infill", {"example": "_" * 17}, "the pattern has 17 positions"),
  "a hole of two": ("infill", {"example": "_", "hole": "__"}, "hole has 2 characters"),
  "a gap before the end": ("infill", {"model": "letters", "example": "a_a"}, "can only continue a beginning"),
  "another character": ("correct", {"example": "THE"}, "write it in small letters: 't'"),
  "a number for a text": ("correct", {"example": ["the"]}, "a text is needed here, not list"),
  "letters by a denoiser": (
    "correct",
    {"model": "letters", "example": "a", "method": "paper"},
    "cannot correct by 'paper'; it can by channel",
  ),
  "a channel of noise": ("correct", {"example": "a", "method": "channel"}, "it can by bayes, paper"),
  "a line too long": ("score", {"examples": ["a", "a" * 17]}, "example 2: the input has shape (17,)"),
  "an empty line": ("score", {"examples": ["a", ""]}, "example 2: there is no category at all"),
  "too many lines": ("score", {"examples": ["a"] * 65}, "examples has 65 entries; give 1 to 64"),
  "an estimator that it lacks": ("score", {"examples": ["a"], "estimator": "exact"}, "it offers: elbo"),
  "a map of another shape": ("score", {"model": "maps", "examples": [[[0, 1]]]}, "64 whole numbers as lists of 8 x 8"),
  "a map of fractions": ("score", {"model": "maps", "examples": [[[0.5] * 8] * 8]}, "whole numbers"),
  "a ragged map": ("score", {"model": "maps", "examples": [[[0], [1, 2]]]}, "whole numbers"),
  "a category beyond": ("score", {"model": "maps", "examples": [[[3] * 8] * 8]}, "3 is no category"),
  "a text for a map": ("score", {"model": "maps", "examples": ["/etc/passwd"]}, "whole numbers"),
  "nothing known": ("score", {"model": "maps", "examples": [[[-1] * 8] * 8]}, "no category at all"),
  "models that do not compare": ("compare", {"models": ["text", "maps"], "examples": ["a"]}, "maps: give 64"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_one_line(name, client):
  endpoint, body, line = WRONG[name]
  answer = client.post(f"/api/{endpoint}", json=body)
  assert answer.status_code == 422
  assert list(answer.json()) == ["error"]
  assert line in answer.json()["error"]
  assert "\n" not in answer.json()["error"]


def test_what_is_no_request_is_refused_before_it_is_read(client):
  kind = {"content-type": "application/json"}
  assert client.post("/api/sample", content=b"{", headers=kind).status_code == 400
  assert client.post("/api/sample", content=b"[" * 100_000, headers=kind).status_code == 400
  assert client.post("/api/sample", content=b"\xff", headers=kind).status_code == 400
  assert client.post("/api/sample", content=b"[]", headers=kind).status_code == 422
  answer = client.post("/api/score", content=b" " * (MOST_BYTES + 1), headers=kind)
  assert (answer.status_code, answer.json()["error"]) == (
    413,
    f"the request has more than {MOST_BYTES:,} bytes; send fewer or smaller examples",
  )

  def parts():
    for _ in range(MOST_BYTES // 1000 + 2):
      yield b" " * 1000

  assert client.post("/api/score", content=parts(), headers=kind).status_code == 413  # without a length
  assert client.post("/api/sample", content=b"{}", headers={"content-type": "text/plain"}).status_code == 415
  assert client.get("/api/sample").status_code == 405
  assert client.get("/api/nothing").status_code == 404
  assert all(each.json()["error"] for each in (client.get("/api/sample"), client.get("/api/nothing")))


def test_the_description_and_the_routes_are_the_same(client):
  told = client.get("/openapi.json").json()
  assert told == openapi()
  assert {(path, method.upper()) for path, each in told["paths"].items() for method in each} == {
    (endpoint.path, endpoint.method) for endpoint in ENDPOINTS.values()
  }
  for path, methods in told["paths"].items():
    for method, operation in methods.items():
      answer = client.request(method, path, json={} if method == "post" else None)
      assert answer.status_code not in (404, 405, 500), path
      assert str(answer.status_code) in operation["responses"]
      if answer.status_code == 200 and operation["operationId"] != "openapi":
        known = operation["responses"]["200"]["content"]["application/json"]["schema"].get("properties", {})
        assert set(known) <= set(answer.json()), path
  served = {route.path for route in client.app.app.routes} - set(told["paths"])
  assert all(re.fullmatch(r"/|/\w+\.(js|css|svg)", path) for path in served)


def test_a_text_is_as_long_as_its_end_leaves_room_for(models):
  run = models["text"].run
  codecs = (ended(run.record.codec, run.record.event.num_classes, 16), byte_codec())
  several = [run._replace(record=run.record._replace(codec=each)) for each in codecs]
  found = [described(models["text"]._replace(run=each)) for each in several]
  assert [(each["counted"], each["longest"]) for each in found] == [("character", 15), ("byte", 16)]


def test_models_say_what_they_can_and_not_where_they_lie(client, models):
  answer = client.get("/api/models")
  found = {each["name"]: each for each in answer.json()["models"]}
  assert list(found) == list(models)
  assert found["text"]["can"] == {"watch": True, "infill": True, "prefix_only": False, "correct": True}
  assert found["letters"]["can"] == {"watch": True, "infill": True, "prefix_only": True, "correct": True}
  assert [each["corrections"] for each in found.values()] == [["bayes", "paper"], ["channel"], ["bayes", "paper"]]
  assert [each["estimators"] for each in found.values()] == [["elbo"], ["exact", "elbo"], ["elbo"]]
  assert [each["example"] for each in found.values()] == ["text", "text", "map"]
  assert [(each["counted"], each["longest"]) for each in found.values()] == [("character", 16)] * 2 + [(None, None)]
  assert len(found["maps"]["legend"]) == 3
  assert not any(str(model.run.workdir) in answer.text for model in models.values())
  assert "/tmp" not in answer.text
  offers = answer.json()["offers"]
  assert (offers.pop("most_samples"), offers.pop("most_lines")) == (16, 64)
  fields = {name: field for each in ENDPOINTS.values() for name, field in (each.takes or {}).items()}
  assert set(offers) == {name for name, field in fields.items() if "enum" in field.schema}
  for name, values in offers.items():
    assert all(checked({name: fields[name]}, {name: value}) == {name: value} for value in values)
  state = client.get("/api/status").json()
  assert state["alive"] is True
  assert state["waiting"] == 0
