"""Draws samples from a trained model: text to the terminal, label maps as a picture, anything to a file.

  python -m launch.sample --workdir=runs/quickstart
  python -m launch.sample --workdir=runs/quickstart --num_samples=100 --output=samples.txt --temperature=0.8
  python -m launch.sample --workdir=runs/quickstart --top_p=0.9 --forbid=q     # --temperature=0: greedy
  python -m launch.sample --workdir=runs/quickstart --num_steps=100     # fewer network calls
  python -m launch.sample --workdir=runs/masked --order=margin --positions_per_call=4   # see docs/NUMBERS.md
  python -m launch.sample --workdir=runs/quickstart --correction=0.05   # a part is drawn anew at every call
  python -m launch.sample --workdir=runs/quickstart --chain             # how they emerge: chain.png and chain.gif
  python -m launch.sample --workdir=runs/quickstart --num_samples=64 --compare   # statistics beside those of the data

A file holds exactly what was drawn: .npy of anything (-1: no category); of text .jsonl, a line {"text": "..."}, or
{"categories": [...]} where the text does not say it; .txt where no sample can have a line break, be empty, or be no
text. score, infill and spellcheck read them. Of label maps it leaves samples.png in the work directory; with --compare
also samples_beside_data.png and statistics.png. TensorBoard shows them too.
"""

import sys
from collections.abc import Sequence

from catgen.runs import sample
from catgen.runs.command import Command

from . import cli


def main(words: Sequence[str] | None = None) -> int:
  """Returns the exit code."""
  return cli.main(__doc__, words, Command(sample.sample, sample.describe, devices=True))


if __name__ == "__main__":
  sys.exit(main())
