"""Notebooks as pages: executed where that is asked for, once for each version of a notebook."""

import hashlib
import pathlib

import nbformat

from docs.making.links import moved

NOTE = (
  "> This notebook is stored without what it gives. Tests run every cell of it; `make docs-executed` makes this site "
  "with all outputs and pictures; the first time that took 40 minutes on two busy cores."
)


def notebook_for_site(path: pathlib.Path, name: str, cache: pathlib.Path, *, execute: bool) -> str:
  """Returns a notebook as JSON, with its outputs where it was executed, now or before, and else with a note.

  Args:
    path: of the notebook.
    name: of the page.
    cache: folder in which executed notebooks are kept, by their SHA-256.
    execute: run it unless the cache has it.
  """
  content = path.read_bytes()
  kept = cache / f"{path.stem}-{hashlib.sha256(content).hexdigest()[:16]}.ipynb"
  notebook = nbformat.reads((kept.read_bytes() if kept.exists() else content).decode("utf-8"), as_version=4)
  if execute and not kept.exists():
    _execute(notebook, path.parent)
    cache.mkdir(parents=True, exist_ok=True)
    kept.write_text(nbformat.writes(notebook), encoding="utf-8")
  for cell in notebook.cells:
    if cell.cell_type == "markdown":
      cell.source = moved(cell.source, path, name)
  if not kept.exists():
    notebook.cells.insert(1, nbformat.v4.new_markdown_cell(NOTE, id="not-executed"))
  return nbformat.writes(notebook)


def _execute(notebook: nbformat.NotebookNode, folder: pathlib.Path) -> None:
  from nbclient import NotebookClient

  NotebookClient(notebook, timeout=3600, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).execute()
