"""Compresses a file by a model's own probabilities, losslessly: to about as many bits as its likelihood says.

  python -m launch.compress --workdir=runs/a --input=book.txt                  # writes book.txt.cg
  python -m launch.compress --workdir=runs/maps --input=maps.npy --compare     # beside gzip, bzip2 and xz
  python -m launch.compress --workdir=runs/people --input=people.csv           # rows of a table
  python -m launch.decompress --workdir=runs/a --input=book.txt.cg --output=book_again.txt

For autoregressive models, and masked diffusion models, which are read from left to right in a call for each position.
Needs: pip install 'catgen[compress]'. The stream is decoded again before the file is there. Only the same model can
decode it, on a machine that computes the same last digits, with the same versions of jax: decompress finds that out
before it begins. What the model does not know (a capital letter, for 27 characters) is stored, deflated, by blocks.
"""

import sys
from collections.abc import Sequence

from catgen.runs import compress
from catgen.runs.command import Command

from . import cli


def main(words: Sequence[str] | None = None) -> int:
  """Returns the exit code."""
  return cli.main(__doc__, words, Command(compress.compress, compress.describe))


if __name__ == "__main__":
  sys.exit(main())
