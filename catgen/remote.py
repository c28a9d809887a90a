"""Files in object stores, gs:// and s3://, and wherever else fsspec reaches: whole objects, their versions, copies.

Paths are URLs, taken letter by letter but for the patterns of `matching`: much of fsspec would read or remove what a
"[1]" in a name matches. What a store refuses, or a network loses, is an `OSError` here, whatever its client raises;
only `FileNotFoundError` has a meaning of its own. Nothing is remembered between two calls, since others write there.
"""

import contextlib
import hashlib
import logging
import os
import posixpath
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent import futures
from typing import IO, Any, NamedTuple

from catgen.interfaces import InputError

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(::[A-Za-z][A-Za-z0-9+.-]*)*://")
_EXTRAS = {"gs": ("gcsfs", "gcs"), "gcs": ("gcsfs", "gcs"), "s3": ("s3fs", "s3"), "s3a": ("s3fs", "s3")}
_WITH_BUCKETS = frozenset(("gs", "gcs", "s3", "s3a", "abfs", "az", "adl", "abfss", "oci", "oss"))
_WITHOUT_FOLDERS = _WITH_BUCKETS | {"memory"}
_SETTLE_SECONDS = 1.0  # where a store cannot write on a condition: after which a writer looks who has written last
_AT_ONCE = 32  # objects that are removed at the same time
_alone = threading.Lock()
logging.getLogger("gcsfs").addFilter(lambda record: not record.exc_info)  # it raises what it reports


class StoreError(OSError):
  """A store that refuses or cannot be reached; its text is one line."""


class Version(NamedTuple):
  """An object as it was read."""

  content: bytes
  mark: str  # changes whenever it is written: generation, ETag, or a hash of the content
  written: float  # seconds since 1970, by the store's clock


def is_remote(path: str | os.PathLike[str]) -> bool:
  """Returns whether a path is a URL.

  >>> is_remote("gs://bucket/run"), is_remote("runs/gs:/run"), is_remote("simplecache::s3://bucket/a.txt")
  (True, False, True)
  """
  return _URL.match(os.fspath(path)) is not None


def check(path: str) -> None:
  """Raises InputError, in a line, for a URL whose protocol is unknown or needs a package that is not installed, and for
  one that names no bucket."""
  _store(path)


def normal(path: str) -> str:
  """Returns a URL without a slash at its end, its protocol in small letters. Raises InputError if it names no bucket.

  >>> normal("S3://bucket/Run/")
  's3://bucket/Run'
  """
  protocol, _, rest = path.partition("://")
  if not rest.strip("/") or (rest.startswith("/") and protocol.lower() in _WITH_BUCKETS):
    raise InputError(f"{path} names no bucket; give one, for example {protocol.lower()}://bucket/folder")
  return f"{protocol.lower()}://{rest.rstrip('/')}"


def read(path: str) -> bytes:
  """Returns the content of an object."""
  with _reading(path):
    fs, inside = _store(path)
    return fs.cat_file(inside)


def read_all(paths: Sequence[str]) -> list[bytes]:
  """Returns the contents of objects of one store, fetched at the same time."""
  if not paths:
    return []
  with _reading(paths[0]):
    fs, _ = _store(paths[0])
    return fs.cat_ranges([fs._strip_protocol(path) for path in paths], None, None, on_error="raise")


def ranges(parts: Sequence[tuple[str, int, int]]) -> list[bytes]:
  """Returns bytes of objects of one store, each from a first one to before a last one, fetched at the same time."""
  if not parts:
    return []
  with _reading(parts[0][0]):
    fs, _ = _store(parts[0][0])
    paths, starts, stops = zip(*((fs._strip_protocol(path), start, stop) for path, start, stop in parts), strict=True)
    return fs.cat_ranges(list(paths), list(starts), list(stops), on_error="raise")


def state(path: str) -> tuple[int, str | None]:
  """Returns an object's size, and a mark that changes whenever it is written; None where the store has none."""
  with _reading(path):
    fs, inside = _store(path)
    info = fs.info(inside)
  mark = info.get("generation") or info.get("ETag")
  return int(info["size"] or 0), None if mark is None else str(mark)


@contextlib.contextmanager
def opened(path: str) -> Iterator[IO[bytes]]:
  """Gives an object to be read from its beginning to its end, in blocks."""
  with _reading(path):
    fs, inside = _store(path)
    file = fs.open(inside, "rb", cache_type="readahead")
  with file:
    yield file


def write(path: str, content: bytes) -> None:
  """Writes an object, whole, in place of what was there: stores show the old one or the new one, never a part."""
  with _writing(path):
    fs, inside = _store(path)
    _make_parents(fs, [inside])
    fs.pipe_file(inside, content)


def size(path: str) -> int | None:
  """Returns the bytes of an object; None where there is none."""
  with contextlib.suppress(FileNotFoundError), _reading(path):
    fs, inside = _store(path)
    found = fs.info(inside)
    return int(found["size"] or 0) if found["type"] == "file" else None
  return None


def is_folder(path: str) -> bool:
  """Returns whether there is any object below a path."""
  with _reading(path):
    fs, inside = _store(path)
    return bool(fs.isdir(inside))


def names(path: str) -> list[str]:
  """Returns the names directly below a path, sorted; none where there is nothing."""
  with contextlib.suppress(FileNotFoundError, NotADirectoryError), _reading(path):
    fs, inside = _store(path)
    found = (each.rstrip("/") for each in fs.ls(inside, detail=False))
    return sorted({posixpath.basename(each) for each in found if each != inside.rstrip("/")})
  return []


def below(path: str) -> dict[str, int]:
  """Returns the bytes of all objects below a path, by their names from there, sorted."""
  with contextlib.suppress(FileNotFoundError), _reading(path):
    fs, inside = _store(path)
    top = inside.rstrip("/") + "/"
    found = fs.find(inside, detail=True)
    return {name.removeprefix(top): int(found[name]["size"] or 0) for name in sorted(found) if name.startswith(top)}
  return {}


def matching(pattern: str, kind: str = "file") -> list[str]:
  """Returns the URLs of the objects that a pattern such as s3://bucket/books/**/*.txt names, sorted.

  kind: "file", or "directory" for what several objects share.
  """
  with contextlib.suppress(FileNotFoundError), _reading(pattern):
    fs, inside = _store(pattern)
    found = fs.glob(inside, detail=True)
    return [
      f"{pattern.partition('://')[0]}://{name.lstrip('/')}" for name in sorted(found) if found[name]["type"] == kind
    ]
  return []


def remove(path: str) -> None:
  """Removes an object, if there is one."""
  with _writing(path):
    fs, inside = _store(path)
    _remove_each(fs, [inside])


def remove_below(path: str) -> None:
  """Removes all objects below a path, those that stand for folders among them, and nothing beside it."""
  with _writing(path):
    fs, inside = _store(path)
    top = inside.rstrip("/") + "/"
    _remove_each(fs, [name for name in fs.find(inside) if name.startswith(top)])
    fs.invalidate_cache()
    if fs.isdir(inside):  # of a store with real folders; those within others first
      folders = [name for name in fs.find(inside, withdirs=True) if name.startswith(top)]
      for folder in filter(_has_key, [*sorted(folders, reverse=True), inside]):
        with contextlib.suppress(FileNotFoundError):
          fs.rmdir(folder)


def copy(source: str, target: str) -> None:
  """Copies all objects below a path to another one of the same store, which does it by itself."""
  inner = list(below(source))
  with _writing(target):
    fs, inside = _store(target)
    _, origin = _store(source)
    if inner:
      targets = [f"{inside}/{name}" for name in inner]
      _make_parents(fs, targets)
      fs.copy([f"{origin}/{name}" for name in inner], targets)


def upload(files: Mapping[str, str], path: str) -> None:
  """Writes local files, given by their names below a path, several at the same time."""
  with _writing(path):
    fs, inside = _store(path)
    targets = [f"{inside}/{name}" for name in files]
    _make_parents(fs, targets)
    if files:
      fs.put(list(files.values()), targets)


def download(path: str, files: Mapping[str, str]) -> None:
  """Fetches objects, given by their names below a path, into local files, several at the same time."""
  with _reading(path):
    fs, inside = _store(path)
    if files:
      fs.get([f"{inside}/{name}" for name in files], list(files.values()))


def version(path: str) -> Version | None:
  """Returns an object with what tells its versions apart; None where there is none."""
  for _ in range(20):
    try:
      with _reading(path):
        fs, inside = _store(path)
        before, content = fs.info(inside), fs.cat_file(inside)
        fs.invalidate_cache()
        after = fs.info(inside)
        if _mark(path, before, content) == _mark(path, after, content):
          return Version(content, _mark(path, after, content), fs.modified(inside).timestamp())
    except FileNotFoundError:
      return None
  raise StoreError(f"{path} changes too often to be read")


def clock(path: str) -> float:
  """Returns the time by the clock that stamps the objects beside a path, in seconds since 1970: writes one, briefly."""
  probe = f"{path}.{os.getpid()}.{time.monotonic_ns()}.tmp"
  write(probe, b"")
  try:
    with _reading(probe):
      fs, inside = _store(probe)
      return fs.modified(inside).timestamp()
  finally:
    with contextlib.suppress(OSError):
      remove(probe)


def replace(path: str, content: bytes, mark: str | None) -> str | None:
  """Writes an object in place of one version of it, or with None where there must be none; contents must differ.

  Returns the new version's mark, and None where another has been there first. gs:// compares generations and s3://
  ETags, when they write. Within one process memory:// is as strict. Other stores have no such condition: there the
  object is read before, written, and read again after a second, which two writers pass only where the first one's
  writing takes longer than that.
  """
  protocol = _protocol(path)
  if protocol in ("gs", "gcs"):
    return _replace_in_gcs(path, content, mark)
  if protocol in ("s3", "s3a"):
    return _replace_in_s3(path, content, mark)
  with _alone:
    found = version(path)
    if (None if found is None else found.mark) != mark:
      return None
    write(path, content)
  if protocol != "memory":
    time.sleep(_SETTLE_SECONDS)
    found = version(path)
    if found is None or found.content != content:
      return None
  return _hash(content)


def _replace_in_gcs(path: str, content: bytes, mark: str | None) -> str | None:
  with _writing(path):
    fs, inside = _store(path)
    bucket, _, key = inside.partition("/")
    url = f"{fs._location}/upload/storage/v1/b/{bucket}/o"
    condition = {"name": key, "ifGenerationMatch": mark or "0"}
    try:
      found = fs.call("POST", url, uploadType="media", **condition, data=content, json_out=True)
    except FileExistsError:  # what gcsfs makes of "412 Precondition Failed"
      return None
    return str(found["generation"])


def _replace_in_s3(path: str, content: bytes, mark: str | None) -> str | None:
  with _writing(path):
    fs, inside = _store(path)
    bucket, key, _ = fs.split_path(inside)
    condition = {"IfNoneMatch": "*"} if mark is None else {"IfMatch": mark}
    try:
      return str(fs.call_s3("put_object", Bucket=bucket, Key=key, Body=content, **condition)["ETag"])
    except FileNotFoundError:
      if mark is not None:  # the object has been deleted
        return None
      raise
    except OSError as error:
      response = getattr(error.__cause__, "response", None) or {}
      if response.get("Error", {}).get("Code") in ("PreconditionFailed", "412", "ConditionalRequestConflict", "409"):
        return None
      raise


def _mark(path: str, info: Mapping[str, Any], content: bytes) -> str:
  protocol = _protocol(path)
  if protocol in ("gs", "gcs"):
    return str(info["generation"])
  return str(info["ETag"]) if protocol in ("s3", "s3a") else _hash(content)


def _hash(content: bytes) -> str:
  return hashlib.sha256(content).hexdigest()


def _protocol(path: str) -> str:
  return path.partition("://")[0].lower()


def _has_key(inside: str) -> bool:
  """Returns whether a path within a store goes on after the bucket."""
  return "/" in inside.strip("/")


def _remove_each(fs: Any, paths: Sequence[str]) -> None:
  """Removes objects, as far as they are there. What fsspec removes in one call it takes for patterns."""

  def remove_one(path: str) -> None:
    if not _has_key(path):
      raise ValueError(f"{path} is no file of a bucket")  # some clients would remove the bucket
    with contextlib.suppress(FileNotFoundError):
      fs.rm_file(path)

  with futures.ThreadPoolExecutor(_AT_ONCE if fs.async_impl else 1) as pool:  # others may have a single connection
    list(pool.map(remove_one, paths))


def _make_parents(fs: Any, paths: Sequence[str]) -> None:
  protocols = {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)
  if not protocols & _WITHOUT_FOLDERS:
    for folder in {posixpath.dirname(path) for path in paths}:
      fs.makedirs(folder, exist_ok=True)


def _store(path: str) -> tuple[Any, str]:
  """Returns the file system of a URL, without anything remembered, and the path within it."""
  import fsspec

  protocol = _protocol(path)
  if protocol in ("file", "local"):
    raise InputError(f"{path}: give the path of a local file without {protocol}://")
  url = normal(path)
  try:
    fs, inside = fsspec.core.url_to_fs(url)
  except ImportError as error:
    package, extra = _EXTRAS.get(protocol, ("", ""))
    remedy = f"it needs {package}: pip install 'catgen[{extra}]'" if extra else str(error)
    raise InputError(f"{path} cannot be opened: {remedy}") from error
  except ValueError as error:
    if "rotocol not known" not in str(error):
      raise InputError(f"{path} cannot be opened: {_line(error)}") from error
    raise InputError(
      f"{path}: {protocol}:// is no protocol that is known; give gs://, s3://, a local path, or another of fsspec's"
    ) from error
  except Exception as error:  # no credentials, for example
    raise StoreError(_line(error)) from error
  fs.invalidate_cache()
  return fs, inside.rstrip("/") or inside


@contextlib.contextmanager
def _reading(path: str) -> Iterator[None]:
  try:
    yield
  except (InputError, StoreError, FileNotFoundError, NotADirectoryError):
    raise
  except Exception as error:
    raise StoreError(_line(error)) from error


@contextlib.contextmanager
def _writing(path: str) -> Iterator[None]:
  try:
    yield
  except (InputError, StoreError):
    raise
  except FileNotFoundError as error:
    raise StoreError(f"there is no such bucket or folder ({_line(error)})") from error
  except Exception as error:
    raise StoreError(_line(error)) from error


def _line(error: BaseException) -> str:
  reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
  return " ".join(reason.split())[:300] or type(error).__name__
