"""What several processes compare before they begin, without any that run."""

import json

import pytest

from catgen.interfaces import InputError
from catgen.runs import agreement, lock, shared
from catgen.runs.record import read_record

OWN = ("coordinator", "process_id")


def of_command(config=None, **values):
  return agreement.of_command("train", values, OWN, config)


@pytest.mark.parametrize(
  ("facts", "line"),
  [
    ([{"config.seed=": 0}], None),
    ([{"config.seed=": 0}] * 3, None),
    ([{"a=": 1, "b=": 2}, {"b=": 2, "a=": 1}], None),
    ([{"--ema=": True}, {"--ema=": None}], "process 1 has --ema=none, process 0 has True"),
    ([{"catgen ": "0.1"}, {"catgen ": "0.1"}, {"catgen ": "0.2"}], "process 2 has catgen 0.2, process 0 has 0.1"),
    ([{"a=": 1, "b=": 2}, {"a=": 3, "b=": 4}], "process 1 has a=3 and b=4, process 0 has 1 and 2"),
    ([{"a=": 1, "b=": 2}, {"c=": 3}], "process 1 has a=none and b=none, process 0 has 1 and 2 (and 1 more differs)"),
    ([{"a=": "x" * 99}, {"a=": "y"}], f"process 1 has a=y, process 0 has {'x' * 60}..."),
  ],
)
def test_the_first_keys_that_differ_are_told(facts, line):
  assert agreement.difference_of(facts) == (line and f"{line}; give all processes the same")


def test_what_decides_the_result_is_compared_and_where_things_lie_is_not(tmp_path):
  for name, content in (("a", "cat"), ("b", "cat"), ("c", "dog")):
    (tmp_path / name).write_text(content)
  config = {"seed": 0, "data": {"path": "a"}, "training": {"prefetch": 2}, "tracking": {"trackers": []}}
  first = of_command(config, process_id=0, workdir="w", num_draws=1, output="x", input=f"{tmp_path}/a")
  elsewhere = {**config, "data": {"path": "b"}, "training": {"prefetch": 4}, "tracking": {"trackers": ["wandb"]}}
  other = of_command(elsewhere, process_id=1, workdir="./w", num_draws=1, output="y", input=f"{tmp_path}/b")
  assert agreement.difference_of([json.loads(json.dumps(first)), other]) is None
  for change in ({"num_draws": 2}, {"output": None}, {"input": f"{tmp_path}/c"}, {"input": f"{tmp_path}/absent"}):
    values = {"process_id": 1, "workdir": "w", "num_draws": 1, "output": "x", "input": f"{tmp_path}/a", **change}
    (name,) = change
    assert f"process 1 has --{name}=" in agreement.difference_of([first, of_command(config, **values)])


def test_data_and_codec_are_compared_by_what_they_hold(workdir):
  record = read_record(workdir)
  first, moved = agreement.of_record(record), record.config | {"data": record.config["data"] | {"path": "moved"}}
  assert agreement.difference_of([first, agreement.of_record(record._replace(config=moved, started_in="b"))]) is None
  line = agreement.difference_of([first, agreement.of_record(record._replace(fingerprint="0" * 64))])
  assert line.startswith("process 1 has data with the SHA-256 000000000000, process 0 has ")


def answering(monkeypatch, module, *others, process=0):
  """Pretends that there are other processes, which answer so."""

  def all_tell(text):
    answers = [text if other is None else other for other in others]
    return [*answers[:process], text, *answers[process:]]

  monkeypatch.setattr(module.jax, "process_count", lambda: len(others) + 1)
  monkeypatch.setattr(module.jax, "process_index", lambda: process)
  monkeypatch.setattr(module.distributed, "all_tell", all_tell)


def test_one_process_compares_nothing():
  assert agreement.agreed(lambda: None, lambda found: 1 / 0) is None


def test_what_one_process_refuses_all_refuse(monkeypatch):
  def refuse():
    raise InputError("no file a.txt")

  answering(monkeypatch, agreement, json.dumps({"facts": {"a=": 1}}))
  assert agreement.agreed(lambda: "found", lambda found: {"a=": 1}) == "found"
  with pytest.raises(InputError, match=r"^process 1 has a=1, process 0 has 2; give"):
    agreement.agreed(lambda: "found", lambda found: {"a=": 2})
  with pytest.raises(InputError, match=r"^process 0 on .*: no file a.txt$"):
    agreement.agreed(refuse, dict)
  answering(monkeypatch, agreement, None)
  with pytest.raises(InputError, match=r"^no file a.txt$"):
    agreement.agreed(refuse, dict)


def test_a_lock_is_seen_by_its_token(tmp_path, monkeypatch):
  (tmp_path / "link").symlink_to(tmp_path / "run")
  assert lock.token_in(tmp_path / "run") is None
  monkeypatch.setattr(shared, "_PATIENCE_SECONDS", 0.0)
  with lock.held(tmp_path / "run") as held:
    assert lock.token_in(tmp_path / "link") == held.owner.token
    answering(monkeypatch, shared, "", process=1)
    shared._check_seen(str(tmp_path / "link"), held.owner.token, "runs/a")
    with pytest.raises(InputError, match=r"^process 1 on .* does not see runs/a of process 0; all processes need"):
      shared._check_seen(str(tmp_path / "other"), held.owner.token, "runs/a")
  assert not list((tmp_path / "run").iterdir())


def test_a_lock_in_a_store_is_seen_by_its_token():
  with lock.held("memory://bucket/agreement") as held:
    assert lock.token_in("memory://bucket/agreement") == held.owner.token
  assert lock.token_in("memory://bucket/agreement") is None
  assert lock.token_in("memory://bucket/absent") is None
