"""Every notebook runs from top to bottom in this interpreter, and is stored without outputs."""

import os
import pathlib
import sys
import tempfile

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from tests import compiling

ROOT = pathlib.Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# What is injected after the first cell: the same calls, on networks that are compiled and trained in seconds, and the
# integrals of the same step over a square that holds all but a few thousandths of the mass.
SMALL = {
  "your_own_data": """
def _small(data, workdir, *, minutes, own=catgen.fit):
  is_maps = getattr(data, "ndim", 1) == 3
  sizes = {"widths": (8,), "num_layers": 1, "num_heads": 2, "time_width": 16} if is_maps else {"width": 32}
  sizes = {f"model.network.{key}": value for key, value in sizes.items()}
  if not is_maps:
    sizes = {"model.network": "per_position", **sizes}
  training = {"training.num_steps": 30, "training.validation_examples": 64}
  adam = {"optimizer.kind": "adam"} if is_maps else {}
  return own(data, workdir, minutes=minutes, overrides={**training, **sizes, **adam})

catgen.fit = _small
""",
  "tables": """
def _small(data, workdir, *, minutes, own=catgen.fit):
  overrides = {"training.num_steps": 30, "model.network": "per_position", "model.network.width": 16}
  return own(data, workdir, minutes=minutes, overrides=overrides)

catgen.fit = _small
BOOTSTRAPS = 2
""",
  "compression": """
def _small(data, workdir, *, minutes, own=catgen.fit):
  sizes = {"model.network": "per_position", "model.network.width": 32, "data.length": 16}
  return own(data, workdir, minutes=minutes, overrides={"training.num_steps": 30, **sizes})

catgen.fit = _small
CHARACTERS = 4096
""",
  "ring": "STEPS, RESTARTS, DRAWS = 20, 2, 2",
  "argmax_flow": """
line = line[np.abs(line) <= 8]
grid = grid[(np.abs(grid) <= 8).all(-1)].reshape(line.size, line.size, 2)
""",
}


def execute(notebook: nbformat.NotebookNode, folder: pathlib.Path) -> None:
  """Runs all cells in a fresh kernel of this interpreter; CellExecutionError where one fails."""
  # Without folders of installed kernels "python3" means sys.executable, not some other Python of the machine.
  specs = KernelSpecManager(kernel_dirs=[])
  with tempfile.TemporaryDirectory() as scratch:
    manager = AsyncKernelManager(
      kernel_name="python3", kernel_spec_manager=specs, connection_file=os.path.join(scratch, "kernel.json")
    )
    client = NotebookClient(notebook, km=manager, timeout=600, resources={"metadata": {"path": str(folder)}})
    client.execute(env=_environment(scratch), cleanup_kc=True)  # a manager that is given would be left running


def _environment(scratch: str) -> dict[str, str]:
  """The kernel's variables: this checkout first on the path, one CPU device as for a user, the cache of these tests."""
  return os.environ | {
    "XLA_FLAGS": compiling.xla_flags(num_devices=1),
    "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    "IPYTHONDIR": scratch,  # no start-up files or history of the user's
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
  }


def _with_cell(notebook: nbformat.NotebookNode, source: str, position: int | None = None) -> nbformat.NotebookNode:
  place = len(notebook.cells) if position is None else position
  notebook.cells.insert(place, nbformat.v4.new_code_cell(source))
  return notebook


def _after_first_code(notebook: nbformat.NotebookNode) -> int:
  return 1 + next(i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code")


def test_there_are_notebooks():
  assert NOTEBOOKS


# What these assert of formulas and families is tested in tests/bijections, tests/flows, tests/contracts, ... too.
@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path):
  notebook = _with_cell(
    nbformat.read(path, as_version=4),
    f"import sys, pathlib, catgen\nassert sys.executable == {sys.executable!r}, sys.executable\n"
    f"assert pathlib.Path(catgen.__file__).is_relative_to({str(ROOT)!r}), catgen.__file__",
  )
  if path.stem in SMALL:
    _with_cell(notebook, SMALL[path.stem], _after_first_code(notebook))
  execute(notebook, path.parent)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_notebook_runs_at_its_own_sizes(name):
  path = ROOT / "notebooks" / f"{name}.ipynb"
  notebook = nbformat.read(path, as_version=4)
  if name in ("compression", "tables", "your_own_data"):
    _with_cell(notebook, "MINUTES = 0.05", _after_first_code(notebook))
  execute(notebook, path.parent)


def test_a_failing_cell_is_noticed(tmp_path):
  with pytest.raises(CellExecutionError, match="two is not three"):
    execute(_with_cell(nbformat.v4.new_notebook(), "assert 2 == 3, 'two is not three'"), tmp_path)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_stored_without_outputs(path):
  notebook = nbformat.read(path, as_version=4)
  nbformat.validate(notebook)
  used = [cell.id for cell in notebook.cells if cell.cell_type == "code" and (cell.outputs or cell.execution_count)]
  assert not used, f"clear the outputs of {path.name} before committing it, for small diffs: {used}"
