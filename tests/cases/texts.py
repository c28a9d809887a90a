"""Texts as files, for the cases of data."""

import numpy as np


def write(path, content):
  path.write_bytes(content if isinstance(content, bytes) else content.encode())
  return str(path)


def texts(source, name="train"):
  """Returns the decoded examples of a split."""
  split = source.splits[name]
  batch = split.examples(np.arange(split.num_examples))
  return [source.codec.decode(x, valid) for x, valid in zip(batch.x, batch.valid, strict=True)]
