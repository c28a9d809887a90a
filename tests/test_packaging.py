"""What an installation holds: one package, with the commands and the configurations inside it."""

import pathlib
import runpy

import pytest
import setuptools

from launch import main

ROOT = pathlib.Path(__file__).parent.parent


@pytest.fixture
def metadata(monkeypatch):
  found = {}
  monkeypatch.setattr(setuptools, "setup", lambda **keywords: found.update(keywords))
  monkeypatch.chdir(ROOT)
  runpy.run_path(str(ROOT / "setup.py"))
  return found


def test_all_code_is_installed_in_one_package(metadata):
  assert {name.split(".")[0] for name in metadata["packages"]} == {"catgen"}
  folders = {
    path.parent.relative_to(ROOT) for name in ("catgen", "launch", "configs") for path in (ROOT / name).rglob("*.py")
  }
  names = {".".join(folder.parts if folder.parts[0] == "catgen" else ("catgen", *folder.parts)) for folder in folders}
  assert set(metadata["packages"]) == names
  for name, folder in metadata["package_dir"].items():
    assert name == f"catgen.{folder}"
    assert (ROOT / folder / "__init__.py").exists()


def test_the_console_command_is_there(metadata):
  assert metadata["entry_points"] == {"console_scripts": ["catgen = catgen.launch.main:main"]}
  assert callable(main.main)
