"""What a rival's package is told of a table, and the cells that its draws become."""

from types import SimpleNamespace

import numpy as np

from benchmarks import forest
from catgen.data.sets.table_file import table_file
from catgen.data.tabular.codec import table_of

CELLS = {
  "age": [str(i) if i % 4 else "" for i in range(40)],
  "pay": [f"{i * i / 4:.2f}" for i in range(40)],
  "job": ["cook", "clerk", "", "cook"] * 10,
  "born": [f"19{i + 50}-01-{i % 28 + 1:02d}" for i in range(40)],
}


class Echo:
  """A forest that draws the rows that it has learned, in turn."""

  def __init__(self, frame, random_state, verbose):
    self.frame = frame

  def forde(self):
    """Learns nothing more."""

  def forge(self, number):
    return {name: np.resize(values, number) for name, values in self.frame.items()}


def test_a_forest_that_draws_what_it_has_learned_gives_back_the_cells(tmp_path, monkeypatch):
  path = tmp_path / "people.csv"
  path.write_text("\n".join([",".join(CELLS), *map(",".join, zip(*CELLS.values(), strict=True))]) + "\n")
  table = table_of(table_file(str(path), splits=(36, 2, 2)).codec.spec)
  pandas = SimpleNamespace(DataFrame=dict, Categorical=np.asarray)
  monkeypatch.setattr(forest, "_libraries", lambda: (SimpleNamespace(arf=Echo), pandas))
  assert forest.drawn(table, CELLS, 60, seed=0) == {name: (cells * 2)[:60] for name, cells in CELLS.items()}
  features = forest._features(table, CELLS, pandas)
  assert set(features) == {"age", "whether age", "pay", "job", "born"}
  assert not any(np.isnan(features[name]).any() for name in ("age", "pay", "born"))
