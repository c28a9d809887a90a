"""Data sets: integers in named splits, and the batches made of them. To add one: a file in sets, a line in SOURCES."""

from catgen.data import known
from catgen.data.characters import reduce_to_text8
from catgen.data.codecs import from_spec
from catgen.data.pipeline import context_batches, eval_batches, prefetch, stream_batches, train_batch
from catgen.data.sets.array_file import array_file
from catgen.data.sets.cityscapes.source import cityscapes
from catgen.data.sets.fasta import fasta
from catgen.data.sets.label_maps import label_maps
from catgen.data.sets.ring import ring
from catgen.data.sets.sets import sets
from catgen.data.sets.squares import squares
from catgen.data.sets.stdlib_docs import stdlib_docs
from catgen.data.sets.street_scenes.source import street_scenes
from catgen.data.sets.table_file import table_file
from catgen.data.sets.text_file import text_file
from catgen.data.sets.text_folder import text_folder
from catgen.data.sets.text_lines import text_lines
from catgen.data.sets.text_table import text_table
from catgen.data.sets.tokenized_text import tokenized_text
from catgen.data.sets.wikipedia.source import enwik8, text8
from catgen.data.splits import UNNAMED_RULES, get_split
from catgen.kinds import Kind, Kinds, Registry
from catgen.sources import DataSource

SOURCES: Registry = Kinds() | {
  "array_file": Kind(array_file, known=known.array_file),
  "cityscapes": Kind(cityscapes, known=known.cityscapes),
  "enwik8": Kind(enwik8, known=known.enwik8),
  "fasta": Kind(fasta),
  "label_maps": Kind(label_maps, known=known.label_maps),
  "ring": Kind(ring),
  "sets": Kind(sets),
  "squares": Kind(squares),
  "stdlib_docs": Kind(stdlib_docs),
  "street_scenes": Kind(street_scenes),
  "table_file": Kind(table_file),
  "text8": Kind(text8, known=known.text8),
  "text_file": Kind(text_file, known=known.text),
  "text_folder": Kind(text_folder),
  "text_lines": Kind(text_lines, known=known.text),
  "text_table": Kind(text_table),
  "tokenized_text": Kind(tokenized_text),
}

__all__ = [
  "SOURCES",
  "UNNAMED_RULES",
  "context_batches",
  "eval_batches",
  "from_spec",
  "get_split",
  "prefetch",
  "reduce_to_text8",
  "stream_batches",
  "summary",
  "train_batch",
]


def summary(source: DataSource) -> str:
  """Returns one line on a source: origin, what an example is, the size of each split, and the start of its SHA-256."""
  shape = " x ".join(map(str, source.event.shape))
  sizes = ", ".join(f"{name} {split.num_examples:,}" for name, split in source.splits.items())
  given = "".join(f"{len(values)} values of {name} given; " for name, values in source.attributes)
  return (
    f"{source.description}; examples of {shape} {source.position}s ({source.event.num_classes} categories): {sizes}; "
    f"{given}SHA-256 {source.fingerprint[:16]}"
  )
