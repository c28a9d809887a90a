"""A server that speaks as much of Google Cloud Storage's JSON API as gcsfs asks for small objects."""

import contextlib
import http.server
import itertools
import json
import re
import threading
import time
import urllib.parse
from collections.abc import Iterator
from typing import Any


class _Bucket:
  """Objects by their names: content, generation, time."""

  def __init__(self) -> None:
    self.objects: dict[str, tuple[bytes, int, str]] = {}
    self.lock, self.generations = threading.Lock(), itertools.count(1)

  def write(self, name: str, content: bytes, condition: str | None) -> dict[str, Any] | None:
    with self.lock:
      held = self.objects[name][1] if name in self.objects else 0
      if condition is not None and int(condition) != held:
        return None
      stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + f".{time.time_ns() // 1000 % 10**6:06d}Z"
      self.objects[name] = (content, next(self.generations), stamp)
    return self.about(name)

  def about(self, name: str) -> dict[str, Any]:
    content, generation, stamp = self.objects[name]
    return {
      "kind": "storage#object",
      "name": name,
      "bucket": "bucket",
      "size": str(len(content)),
      "generation": str(generation),
      "updated": stamp,
      "timeCreated": stamp,
    }

  def listed(self, prefix: str, delimiter: str) -> dict[str, Any]:
    items, prefixes = [], set()
    for name in sorted(self.objects):
      rest = name.removeprefix(prefix)
      if not name.startswith(prefix):
        continue
      if delimiter and delimiter in rest:
        prefixes.add(prefix + rest.split(delimiter)[0] + delimiter)
      else:
        items.append(self.about(name))
    return {"kind": "storage#objects", "items": items, "prefixes": sorted(prefixes)}


class _Handler(http.server.BaseHTTPRequestHandler):
  bucket: _Bucket
  protocol_version = "HTTP/1.1"

  def log_message(self, *_: Any) -> None:
    """Says nothing."""

  def answer(self, status: int, content: Any = b"") -> None:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    self.send_response(status)
    self.send_header("Content-Length", str(len(body)))
    self.send_header("Content-Type", "application/octet-stream" if isinstance(content, bytes) else "application/json")
    self.end_headers()
    if self.command != "HEAD":
      self.wfile.write(body)

  def asked(self) -> tuple[str | None, dict[str, str]]:
    parts = urllib.parse.urlsplit(self.path)
    found = re.search("/b/bucket/o/(.+)$", parts.path)
    return urllib.parse.unquote(found[1]) if found else None, dict(urllib.parse.parse_qsl(parts.query))

  def do_GET(self) -> None:
    name, query = self.asked()
    if name is None:
      about = {"name": "bucket"} if "/o" not in self.path else None
      self.answer(200, about or self.bucket.listed(query.get("prefix", ""), query.get("delimiter", "")))
    elif name not in self.bucket.objects:
      self.answer(404, {"error": {"code": 404, "message": f"No such object: {name}"}})
    elif query.get("alt") == "media":
      content, first = self.bucket.objects[name][0], re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
      self.answer(200, content[int(first[1]) : int(first[2]) + 1 if first[2] else None] if first else content)
    else:
      self.answer(200, self.bucket.about(name))

  def do_POST(self) -> None:
    body, (name, query) = self.rfile.read(int(self.headers.get("Content-Length") or 0)), self.asked()
    if name is not None:  # a copy on the server
      source, _, target = re.split("/(rewriteTo|copyTo)/b/bucket/o/", name)
      about = self.bucket.write(target, self.bucket.objects[source][0], None)
      self.answer(200, {"kind": "storage#rewriteResponse", "done": True, "resource": about})
      return
    name = query.get("name")
    if query.get("uploadType") == "multipart":
      _, about, content, _ = re.split(rb"\n?--==0==(?:--)?", body, maxsplit=3)
      name, body = json.loads(about.split(b"\n\n", 1)[1])["name"], content.split(b"\n\n", 1)[1]
    about = self.bucket.write(str(name), body, query.get("ifGenerationMatch"))
    self.answer(200, about) if about else self.answer(412, {"error": {"code": 412, "message": "conditionNotMet"}})

  def do_DELETE(self) -> None:
    name, _ = self.asked()
    self.answer(204 if self.bucket.objects.pop(str(name), None) else 404)


@contextlib.contextmanager
def serving() -> Iterator[str]:
  """Gives the address of a server with one empty bucket, gs://bucket, for STORAGE_EMULATOR_HOST."""
  handler = type("Handler", (_Handler,), {"bucket": _Bucket()})
  server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
  thread = threading.Thread(target=server.serve_forever, daemon=True)
  thread.start()
  try:
    yield f"http://127.0.0.1:{server.server_address[1]}"
  finally:
    server.shutdown()
    server.server_close()
