"""Where each page of the site is made of, and where it stands in the navigation."""

import pathlib

ROOT = pathlib.Path(__file__).parent.parent.parent
BUILD = ROOT / "build"

# caption -> pages in their order: a file of the repository and its name on the site; files that begin with "made:" are
# written by the program
NAVIGATION: dict[str, dict[str, str]] = {
  "Begin": {
    "docs/TUTORIAL.md": "tutorial",
    "docs/COMMANDS.md": "commands",
    "docs/QUESTIONS.md": "questions",
  },
  "How to": {
    "docs/howto/text.md": "howto/text",
    "docs/howto/maps.md": "howto/maps",
    "docs/howto/integers.md": "howto/integers",
    "docs/TABLES.md": "howto/tables",
    "docs/howto/labels.md": "howto/labels",
    "docs/howto/correcting.md": "howto/correcting",
    "docs/howto/evaluating.md": "howto/evaluating",
    "docs/TRACKING.md": "howto/tracking",
    "docs/howto/plugins.md": "howto/plugins",
    "docs/howto/resuming.md": "howto/resuming",
    "docs/MODELS.md": "howto/models",
    "docs/SERVING.md": "howto/serving",
    "docs/CLUSTERS.md": "howto/clusters",
    "docs/REMOTE.md": "howto/remote",
    "docs/DEVICES.md": "howto/devices",
    "docs/ACCELERATORS.md": "howto/accelerators",
    "docs/TROUBLESHOOTING.md": "howto/troubleshooting",
  },
  "Explanations": {
    "docs/NUMBERS.md": "numbers",
    "docs/TRAPS.md": "traps",
    "docs/families/multinomial.md": "families/multinomial",
    "docs/families/masked.md": "families/masked",
    "docs/families/argmax.md": "families/argmax",
    "docs/families/discrete.md": "families/discrete",
    "docs/families/emission.md": "families/emission",
    "docs/families/autoregressive.md": "families/autoregressive",
    "docs/PAPER.md": "paper",
  },
  "Notebooks": {
    "notebooks/multinomial_diffusion.ipynb": "notebooks/multinomial_diffusion",
    "notebooks/argmax_flow.ipynb": "notebooks/argmax_flow",
    "notebooks/ring.ipynb": "notebooks/ring",
    "notebooks/your_own_data.ipynb": "notebooks/your_own_data",
    "notebooks/tables.ipynb": "notebooks/tables",
    "notebooks/compression.ipynb": "notebooks/compression",
  },
  "Results": {
    "docs/RESULTS.md": "results",
    "made:pretrained": "pretrained",
  },
  "Reference": {
    "made:keys": "reference/keys",
    "docs/CONFIGURATION.md": "reference/changes",
    "made:experiments": "reference/experiments",
    "made:flags": "reference/flags",
    "made:python": "reference/python",
  },
  "Project": {
    "WORKSPACE.md": "project/workspace",
    "docs/DECISIONS.md": "project/decisions",
    "CONTRIBUTING.md": "project/contributing",
    "CHANGELOG.md": "project/changelog",
    "SECURITY.md": "project/security",
  },
}
SHORT = {  # titles in the navigation, where a page's own is long
  "tutorial": "Ten minutes",
  "howto/tables": "Your own tables",
  "howto/labels": "Labels and guidance",
  "howto/correcting": "Correction",
  "howto/evaluating": "Evaluation",
  "howto/models": "Trained models: export and load",
  "howto/serving": "A server and a page",
  "howto/remote": "Buckets",
  "howto/devices": "Devices",
  "howto/accelerators": "Accelerators, before renting",
  "howto/troubleshooting": "Troubleshooting",
  "families/masked": "Masked diffusion and others",
  "families/argmax": "Argmax and dequantized flows",
  "families/discrete": "Discrete and denoising flows",
  "notebooks/multinomial_diffusion": "Multinomial diffusion, derived",
  "notebooks/argmax_flow": "Argmax flows in two dimensions",
  "notebooks/ring": "Seven models on a ring",
  "notebooks/your_own_data": "Your own data",
  "reference/changes": "What a change means",
}
LANDING = "docs/index.md"
PAGES: dict[str, str] = {
  LANDING: "index",
  "README.md": "index",  # the landing page of the repository: links to it lead to that of the site
} | {source: name for pages in NAVIGATION.values() for source, name in pages.items()}


def sources() -> list[tuple[pathlib.Path, str]]:
  """Returns the pages that are files of the repository, with their names on the site."""
  listed = {LANDING: "index"} | {source: name for pages in NAVIGATION.values() for source, name in pages.items()}
  return [(ROOT / source, name) for source, name in listed.items() if not source.startswith("made:")]
