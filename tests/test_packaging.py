"""What an installation holds: one package, with the commands and the configurations inside it."""

import functools
import os
import pathlib
import runpy
import shutil
import subprocess
import sys
import sysconfig

import pytest
import setuptools

from catgen.runs.export import export
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


def test_trained_models_are_installed(metadata):
  patterns = metadata["package_data"]["catgen"]
  there = {path for path in (ROOT / "catgen" / "pretrained").rglob("*") if path.is_file()}
  assert there | {ROOT / "catgen" / "py.typed"} == {p for pattern in patterns for p in (ROOT / "catgen").glob(pattern)}
  assert sum(path.stat().st_size for path in there) < 30e6


@pytest.mark.slow
def test_the_wheel_runs_from_any_folder(text_run, tmp_path):
  """Installed into an environment of its own, beside a folder `configs` of the user's that shadows nothing."""
  wheels, environment, folder = tmp_path / "wheels", tmp_path / "environment", tmp_path / "elsewhere"
  pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
  source = tmp_path / "source"
  for name in ("catgen", "launch", "configs"):
    shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
  for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
    shutil.copy(ROOT / name, source)
  export(text_run, output=str(source / "catgen" / "pretrained" / "tiny"), dtype="bfloat16")
  build = ["wheel", "--no-deps", f"--wheel-dir={wheels}", str(source)]
  subprocess.run([*pip, *build], check=True)
  subprocess.run([sys.executable, "-m", "venv", environment], check=True)
  python, (wheel,) = environment / "bin" / "python", wheels.glob("*.whl")
  subprocess.run([*pip, f"--python={python}", "install", "--no-deps", "--no-index", wheel], check=True)
  inside = next((environment / "lib").glob("python*/site-packages"))
  (inside / "requirements.pth").write_text(sysconfig.get_path("purelib"))  # what catgen needs, but not this checkout
  (folder / "configs").mkdir(parents=True)
  (folder / "configs" / "quickstart.py").write_text("raise AssertionError('of the user')")
  clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "XLA"))}
  run = functools.partial(subprocess.run, cwd=folder, env=clean, capture_output=True, text=True)
  found = run([python, "-c", "import catgen; print(catgen.__file__)"])
  assert found.stdout.startswith(str(environment)), found.stderr
  for name in ("launch", "configs.base"):
    assert run([python, "-c", f"import {name}"]).returncode != 0
  small = ["--config.training.num_steps=1", "--config.training.validation_examples=32"]
  small.append("--config.optimizer.warmup_steps=0")
  done = run([environment / "bin" / "catgen", "train", "--config=quickstart", "--workdir=run", *small])
  assert done.returncode == 0, done.stderr
  for name in ("run", "pretrained/tiny"):
    sampled = run([environment / "bin" / "catgen", "sample", f"--workdir={name}", "--num_samples=1", "--num_steps=2"])
    assert sampled.returncode == 0, sampled.stderr
  assert not (folder / "pretrained").exists()
