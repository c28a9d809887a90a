"""The card of an exported model: what a person says of it, and the facts that its run knows."""

from collections.abc import Mapping, Sequence
from typing import Any

from catgen import orders
from catgen.evaluation import results
from catgen.files import read_bytes
from catgen.interfaces import InputError
from catgen.paths import size_of
from catgen.runs.record import RunRecord

LARGEST = 2**20  # bytes of a person's text
UNSAID = (
  "Nobody has said yet under which licence its data are, by which command and on what hardware it was trained, and "
  "what it is good and bad at; `launch.export --card=FILE` puts a text in Markdown here."
)


def written_by_hand(path: str | None) -> str:
  """Returns what a person says of a model, a text in Markdown; without a file, that nobody has said anything.

  Raises:
    InputError: the file cannot be read, is empty, too large, or no UTF-8 text.
  """
  if path is None:
    return UNSAID
  try:
    if size_of(path) > LARGEST:
      raise InputError(f"--card={path} has more than {LARGEST:,} bytes; give a text of some pages")
    text = read_bytes(path).decode("utf-8-sig").strip()
  except OSError as error:
    raise InputError(f"cannot read --card={path}: {error.strerror or error}") from error
  except UnicodeDecodeError as error:
    raise InputError(f"--card={path} is no text in UTF-8 ({error.reason}); save it as such") from error
  if not text:
    raise InputError(f"--card={path} is empty; say in it what the model is good and bad at, or leave --card out")
  return text


def card(
  name: str, said: str, record: RunRecord, seconds: Mapping[str, float] | None, found: Sequence[Mapping[str, Any]]
) -> str:
  """Returns the card, in Markdown.

  Args:
    name: of the model.
    said: by a person, see `written_by_hand`.
    record: of the exported model.
    seconds: that training took, by what they went into; None: unknown.
    found: records of its evaluations.
  """
  assert record.exported is not None
  about = record.exported
  kept = "moving average of the parameters" if about.averaged else "parameters"
  shape = " x ".join(map(str, record.event.shape))
  facts = {
    "model": f"{record.config['model']['kind']}, {about.num_parameters:,} parameters",
    "these parameters": f"{kept} after step {about.step:,}, matrices stored in {about.dtype}",
    "data": f"{record.description} (SHA-256 of their integers: {record.fingerprint})",
    "example": f"{shape} {record.position}s of {record.event.num_classes} categories",
    "training": _training(record, seconds),
    "written by": f"catgen {about.catgen}; the run began with {record.code_version}",
  }
  lines = [f"# {name}", "", said, "", "## Facts", "", "| | |", "|---|---|"]
  lines += [f"| {key} | {_cell(value)} |" for key, value in facts.items()]
  lines += ["", "The whole configuration is in config.json.", "", "## Results", "", *_results(found)]
  lines += [
    "",
    "## Use",
    "",
    "```python",
    "import catgen",
    "",
    f'run = catgen.load("{name}")  # the folder of this file',
  ]
  lines += ["print(run.decode(run.sample(1).x[0]))", "```", ""]
  return "\n".join(lines)


def _training(record: RunRecord, seconds: Mapping[str, float] | None) -> str:
  settings = record.config["training"]
  text = f"{settings['num_steps']:,} steps of {settings['batch_size']:,} examples planned, seed {record.config['seed']}"
  return text if seconds is None else f"{text}; {sum(seconds.values()):,.0f} seconds in all"


def _results(found: Sequence[Mapping[str, Any]]) -> list[str]:
  if not found:
    return ["Its run was not evaluated."]
  rows = [
    "| split | value | error over examples | of the estimate | how | examples |",
    "|---|---|---|---|---|---|",
  ]
  for each in found:
    how = orders.named(orders.of_record(each)) or each.get("estimator", "?")
    errors = [_number(each.get(name)) for name in ("data_error", "monte_carlo_error")]
    cells = [each.get("split"), f"{_number(each.get('value'))} {each.get('unit', '')}", *errors, how]
    rows.append(f"| {' | '.join(_cell(cell) for cell in [*cells, each.get('num_examples')])} |")
  return [*rows, "", f"More on each is in {results.FILE_NAME}."]


def _number(value: Any) -> str:
  return f"{value:.4f}" if isinstance(value, int | float) else "unknown"


def _cell(value: Any) -> str:
  return str(value).replace("|", "\\|").replace("\n", " ")
