"""What the page says of each family is true of it, and of each model of the package."""

import json

import pytest

from catgen.models import MODELS
from catgen.processes import PROCESSES
from catgen.runs.exported import shipped
from catgen.serving.words import words_for

TEXT = {  # section of the configuration: title, start, what the lead says
  "uniform": ({"kind": "diffusion", "process": {"kind": "uniform"}}, "Text out of noise", "noise", "random category"),
  "masked": ({"kind": "diffusion", "process": {"kind": "absorbing"}}, "Text out of masks", "masks", "uncovers some"),
  "hybrid": (
    {"kind": "diffusion", "process": {"kind": "hybrid"}},
    "Text out of masks",
    "masks",
    "change what is there",
  ),
  "learned masking": ({"kind": "learned_masking"}, "Text out of masks", "masks", "uncovers some"),
  "autoregressive": ({"kind": "autoregressive"}, "Text, character by character", "nothing", "from left to right"),
  "block diffusion": (
    {"kind": "block_diffusion", "block_length": 4},
    "Text, block by block",
    "nothing",
    "Blocks of 4 characters follow one another from left to right; those of a block are drawn one at a time, in a",
  ),
  "argmax flow": ({"kind": "argmax_flow"}, "Text by an argmax flow", "noise", "which of them are the largest"),
  "dequantized flow": ({"kind": "dequantized_flow"}, "Text by a dequantized flow", "noise", "rounded"),
  "VAE": ({"kind": "latent_emission"}, "Text out of hidden numbers", "noise", "Hidden continuous numbers"),
  "discrete flow": ({"kind": "discrete_flow"}, "Text by a discrete flow", "noise", "invertible steps"),
  "denoising flow": ({"kind": "denoising_flow"}, "Text by a denoising flow", "noise", "Ranks"),
}
WATCHED = {"diffusion", "learned_masking", "autoregressive", "block_diffusion"}


@pytest.mark.parametrize("name", TEXT)
def test_each_family_has_words_of_its_own(name):
  section, title, start, told = TEXT[name]
  watched = section["kind"] in WATCHED
  words = words_for(section, "text", "character", watched=watched)
  assert (words.title, words.start) == (title, start)
  assert told in words.lead
  assert ("slider" in words.lead) == watched


def test_no_family_and_no_noise_is_without_words():
  assert {section["kind"] for section, *_ in TEXT.values()} == set(MODELS)
  starts = {}
  for noise in PROCESSES:
    starts[noise] = words_for({"kind": "diffusion", "process": {"kind": noise}}, "map", "pixel", watched=True).start
  assert {noise for noise, start in starts.items() if start == "masks"} == {"absorbing", "hybrid"}
  assert words_for({"kind": "another"}, "map", "pixel", watched=False).lead.startswith("Examples are drawn whole.")


def test_maps_in_order_do_not_come_out_of_noise():
  words = words_for({"kind": "autoregressive", "network": {"kind": "pixel_cnn"}}, "map", "pixel", watched=True)
  assert words.title == "Maps, pixel by pixel"
  assert "row by row" in words.lead
  assert "marked" not in words.lead  # only texts show what changed
  assert words_for({"kind": "autoregressive"}, "row", "column", watched=False).title == "Rows of a table"


def test_models_of_the_package_are_called_what_they_are():
  titles = {}
  for name, folder in shipped().items():
    with open(f"{folder}/config.json") as file:
      record = json.load(file)
    example = "map" if len(record["event"]["shape"]) == 2 else "text"
    titles[name] = words_for(record["config"]["model"], example, record["position"], watched=True).title
  assert titles == {
    "streets": "Maps out of noise",
    "text-autoregressive": "Text, character by character",
    "text-blocks": "Text, block by block",
    "text-masked": "Text out of masks",
    "text-multinomial": "Text out of noise",
  }
