"""Serves trained models: a page to play with in a browser, and endpoints that take and give JSON.

  python -m launch.serve --workdir=runs/quickstart
  python -m launch.serve --workdir=runs/masked,runs/autoregressive --port=8080   # two models can be compared
  python -m launch.serve --workdir=runs/maps --host=0.0.0.0      # for others too, who need the token that it prints

Open the address that it prints. The page draws samples that condense out of noise, fills holes in a text or a painted
map, corrects a sentence while it is typed, scores lines and compares two models. /openapi.json describes the endpoints;
docs/SERVING.md has examples, limits, and what is done for safety. It needs the packages of catgen[serve].
"""

import sys
from collections.abc import Sequence

from catgen.runs.command import Command
from catgen.serving import serve

from . import cli


def main(words: Sequence[str] | None = None) -> int:
  """Returns the exit code."""
  return cli.main(__doc__, words, Command(serve.serve, serve.describe))


if __name__ == "__main__":
  sys.exit(main())
