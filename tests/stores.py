"""Local servers that speak the protocols of object stores, each with one bucket, s3://bucket or gs://bucket."""

import contextlib
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

import pytest

from tests import fake_gcs
from tests.addresses import free_address


@contextlib.contextmanager
def _variables(variables: dict[str, str]) -> Iterator[None]:
  before = dict(os.environ)
  os.environ.update(variables)
  try:
    yield
  finally:
    os.environ.clear()
    os.environ.update(before)


@contextlib.contextmanager
def s3() -> Iterator[str]:
  """Gives the URL of a bucket of moto's server, which processes find by this one's environment; skips without moto."""
  pytest.importorskip("moto", reason="needs the extra remote")
  s3fs = pytest.importorskip("s3fs", reason="needs the extra remote")
  host, port = free_address().split(":")
  variables = {
    "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
  }
  words = [sys.executable, "-m", "moto.server", "-H", host, "-p", port]
  process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
  try:
    with _variables(variables):
      for _ in range(600):
        with contextlib.suppress(OSError):
          urllib.request.urlopen(f"{variables['AWS_ENDPOINT_URL']}/moto-api/", timeout=1).close()
          break
        time.sleep(0.1)
      s3fs.S3FileSystem().mkdir("bucket")
      yield "s3://bucket"
      s3fs.S3FileSystem.clear_instance_cache()
  finally:
    process.kill()
    process.wait()


@contextlib.contextmanager
def gcs() -> Iterator[str]:
  """Gives the URL of a bucket of `fake_gcs`; skips without gcsfs."""
  gcsfs = pytest.importorskip("gcsfs", reason="needs the extra remote")
  with fake_gcs.serving() as address:
    variables = {"STORAGE_EMULATOR_HOST": address, "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false"}
    with _variables(variables):
      yield "gs://bucket"
    gcsfs.GCSFileSystem.clear_instance_cache()
