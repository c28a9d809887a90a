"""Makes a file again of what launch.compress made of it, and checks it by its SHA-256.

python -m launch.decompress --workdir=runs/a --input=book.txt.cg --output=book_again.txt
python -m launch.decompress --workdir=runs/a --input=damaged.cg --output=rest.txt --recover
"""

import sys
from collections.abc import Sequence

from catgen.runs import decompress
from catgen.runs.command import Command

from . import cli


def main(words: Sequence[str] | None = None) -> int:
  """Returns the exit code."""
  return cli.main(__doc__, words, Command(decompress.decompress, decompress.describe))


if __name__ == "__main__":
  sys.exit(main())
