"""What counts of the training split reach on held-out data: the rivals of any model of text or maps."""

from typing import NamedTuple

from catgen.bounds import Estimate
from catgen.config import AnyConfiguration, configuration, make_source
from catgen.data import get_split
from catgen.evaluation import results
from catgen.interfaces import InputError
from catgen.media import media_of
from catgen.records import shown_briefly
from catgen.reporting import terminal
from catgen.runs.argument_types import checked
from catgen.runs.experiment import first_examples
from catgen.sources import DataSource


@shown_briefly
class Baselines(NamedTuple):
  """Cross-entropies of counts on held-out examples."""

  estimates: dict[str, Estimate]
  position: str
  notes: tuple[str, ...]  # what was counted and scored, where it was not all; what errors are over, where not examples

  @property
  def bits(self) -> dict[str, float]:
    """Name -> bits per position."""
    return {name: found.bits for name, found in self.estimates.items()}


@checked
def baselines(config: AnyConfiguration, source: DataSource | None = None) -> Baselines:
  """Returns cross-entropies of counts of the training split, on the examples that `config["evaluation"]` names.

  They are in bits per position.

  Args:
    config: a configuration's name, what `catgen.load_config` returns, or its sections; `data` and `evaluation` count.
    source: replaces the data set that the config names.

  Raises:
    InputError: there are no counts of such events, or a split is missing.
  """
  values = configuration(config).values
  source = make_source(values["data"]) if source is None else source
  media = media_of(source.event, source.codec, source.position)
  if media.baselines is None:
    raise InputError(f"events have shape {source.event.shape}; there are count baselines of sequences and maps only")
  split, limit = values["evaluation"]["split"], values["evaluation"]["max_examples"]
  counted = media.baselines(source, first_examples(source, split, limit))
  number = get_split(source, split).num_examples
  scored = f"scored on the first {min(number, limit):,} of {number:,} {split} examples" if limit else ""
  pieces = get_split(source, split).consecutive
  errors = f"±: standard error {results.error_over(consecutive=True)}" if pieces else ""
  return Baselines(counted.estimates, source.position, tuple(filter(None, (scored, counted.note, errors))))


def describe(baselines: Baselines) -> str:
  """Returns the table of baselines, in bits per position."""
  rows = [[name, shown(found)] for name, found in baselines.estimates.items()]
  return "\n".join([terminal.table(["model", f"bits per {baselines.position}"], rows), *baselines.notes])


def shown(found: Estimate) -> str:
  """Returns a cross-entropy, in bits per position, with its standard error; see `bounds.ratio_error`."""
  return terminal.plus_minus(found.bits, found.data_error)
