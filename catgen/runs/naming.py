"""A run in a line."""

from typing import TYPE_CHECKING

from catgen import orders, remote
from catgen.interfaces import InputError
from catgen.paths import name_of
from catgen.runs import exported
from catgen.trees import num_elements

if TYPE_CHECKING:
  from catgen.runs.load import Run


def described(run: "Run") -> str:
  """Returns a run's name, family, size, step, and bits per position where it was evaluated.

  `Run('text-autoregressive', autoregressive, 3.6M parameters, step 1,221, 1.785 bits/character)`
  """
  size, kind = num_elements(run.params), run.record.config["model"]["kind"]
  number = f"{size / 1e6:.1f}M" if size >= 1e6 else f"{size:,}"
  parts = [repr(name_of(run.folder or run.workdir)), kind, f"{number} parameters", f"step {run.step:,}"]
  return f"Run({', '.join([*parts, *_bits(run)])})"


def _bits(run: "Run") -> list[str]:
  """Returns the last evaluation of the parameters by the model's own p(x), on the test split where it was made."""
  if not run.folder or remote.is_remote(run.folder):  # to show a run asks no store
    return []
  try:
    records = exported.evaluations(run.folder)
  except InputError:
    return []
  own = (run.step, run.uses_ema)
  found = [each for each in records if (each.get("step"), each.get("ema")) == own and not orders.of_record(each)]
  found = [each for each in found if each.get("value") is not None and "unit" in each]
  found.sort(key=lambda each: each.get("split") == "test")
  return [f"{each['value']:.3f} {each['unit'].replace('bits per ', 'bits/')}" for each in found[-1:]]
