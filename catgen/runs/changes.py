"""What it means to change a key of the configuration of a run that has begun: nothing, a change that is recorded, or
another run."""

import fnmatch
from collections.abc import Mapping
from typing import Any, NamedTuple

from catgen.config import flat
from catgen.interfaces import InputError

FREE, RECORDED, NEW = "free", "recorded", "a new run"


class Rule(NamedTuple):
  """What a change of some keys means."""

  keys: str  # a pattern; the first that fits a key decides
  meaning: str  # FREE, RECORDED or NEW
  reason: str


class Change(NamedTuple):
  """A key that was changed in a run; None where it was absent."""

  step: int  # updates done before
  key: str
  before: Any
  after: Any

  def __str__(self) -> str:
    return f"config.{self.key} changed from {self.before!r} to {self.after!r} at step {self.step}"


RULES = (
  Rule("mesh.*", FREE, "results differ by rounding"),
  Rule("checkpoint.*", FREE, "what is kept of a run is no part of it"),
  Rule("evaluation.*", FREE, "each evaluation says how it was made"),
  Rule("sampling.*", FREE, "samples are drawn anew each time"),
  Rule("tracking.*", FREE, "only shows"),
  Rule("plugins", FREE, "only kinds that are chosen count, by their own keys"),
  Rule("training.num_microbatches", FREE, "results differ by rounding"),
  Rule("training.prefetch", FREE, "the batches are the same"),
  Rule("training.report_every", FREE, "only shows"),
  Rule("training.valid*", FREE, "only measures and shows"),
  Rule("training.skip_nonfinite", FREE, "each step that is skipped is recorded"),
  Rule("training.num_steps", RECORDED, "the learning rate may follow it, which is said"),
  Rule("training.ema_decay", RECORDED, "between 0 and more it is a new run, since the average is missing"),
  Rule("training.streams", NEW, "what is carried from step to step would be missing"),
  Rule("training.*", RECORDED, "later steps see other batches"),
  Rule("optimizer.kind", NEW, "the optimizer's state means something else"),
  Rule("optimizer.*", RECORDED, "later steps move otherwise; a new run where the optimizer's state has another form"),
  Rule("data.path", FREE, "the data are known by the SHA-256 of their integers, wherever they lie"),
  Rule("data.split_rule", FREE, "a run keeps the rule that it began with"),
  Rule("data.*", RECORDED, "as long as integers and splits, by their SHA-256, shape and codec are the same"),
  Rule("model.*", NEW, "the checkpoints are of another model; start one from them by --init_from"),
  Rule("seed", NEW, "batches and draws are others"),
)


def rule_of(key: str) -> Rule:
  """Returns what a change of a key means."""
  return next((rule for rule in RULES if fnmatch.fnmatchcase(key, rule.keys)), Rule(key, NEW, "it is not known"))


def changes_between(before: Mapping[str, Any], after: Mapping[str, Any], step: int, workdir: str) -> tuple[Change, ...]:
  """Returns the changes from one configuration to another that are to be recorded.

  Args:
    before: the resolved configuration of the run.
    after: the one that it is to go on with.
    step: updates done.
    workdir: of the run, for the message.

  Raises:
    InputError: a key differs that makes another run.
  """
  old, new = flat(before), flat(after)
  different = [key for key in {**old, **new} if old.get(key) != new.get(key)]
  others = [key for key in different if rule_of(key).meaning == NEW]
  if others:
    key = others[0]
    more = f" (and {len(others) - 1} more keys)" if len(others) > 1 else ""
    raise InputError(
      f"{workdir} holds another run: config.{key} is {old.get(key)!r} there and {new.get(key)!r} here{more};"
      " use another --workdir, or the same config to go on; docs/CONFIGURATION.md says what may change"
    )
  recorded = [key for key in different if rule_of(key).meaning == RECORDED]
  return tuple(Change(step, key, old.get(key), new.get(key)) for key in recorded)


def merged(changes: tuple[Change, ...], more: tuple[Change, ...]) -> tuple[Change, ...]:
  """Returns changes and later ones; of several of one key at one step the last counts, and none that was undone."""
  found: dict[tuple[int, str], Change] = {}
  for change in (*changes, *more):
    first = found.pop((change.step, change.key), change)
    if first.before != change.after or first is change:
      found[change.step, change.key] = change._replace(before=first.before)
  return tuple(found.values())


def compared(config: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the keys of a configuration that decide what a run computes."""
  return {key: value for key, value in flat(config).items() if rule_of(key).meaning != FREE}
