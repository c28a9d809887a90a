"""Small files that are wrong in one way each, by the names that the table calls them by, under `{shelf}`."""

import io
import zipfile

import numpy as np

MAPS = np.arange(64, dtype=np.uint8).reshape(1, 8, 8) % 3 * np.ones((40, 1, 1), np.uint8)


def npy(array, **options):
  content = io.BytesIO()
  np.save(content, array, **options)
  return content.getvalue()


def npz(**arrays):
  content = io.BytesIO()
  np.savez(content, **arrays)
  return content.getvalue()


def png(array):
  from PIL import Image

  content = io.BytesIO()
  Image.fromarray(array).save(content, "PNG")
  return content.getvalue()


def bomb():
  """Returns a .npz of 40 kB whose array has 40 MB, all zeros, and whose header speaks of 4 GB."""
  header = npy(np.zeros((600, 8, 8), np.uint8))[:128].replace(b"(600, 8, 8), }      ", b"(62500000, 8, 8), } ")
  content = io.BytesIO()
  with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
    archive.writestr("arr_0.npy", header + bytes(40 * 2**20))
  return content.getvalue()


ARRAYS = {
  "empty.npy": b"",
  "text.npy": b"hello",
  "cut.npy": npy(MAPS)[:200],
  "float.npy": npy(np.full((9, 9), 0.5)),
  "objects.npy": npy(np.array([{}, []], object), allow_pickle=True),
  "texts.npy": npy(np.array(["a", "b"])),
  "dates.npy": npy(np.zeros(3, "datetime64[s]")),
  "scalar.npy": npy(np.array(3)),
  "none.npy": npy(np.zeros((0, 8, 8), np.uint8)),
  "negative.npy": npy(np.full((9, 9), -5)),
  "far.npy": npy(np.full((9, 9), 2**40)),
  "unsigned.npy": npy(np.full((8, 8), 2**63, np.uint64)),
  "maps.npy": npy(MAPS),
  "map.npy": npy(MAPS[0]),
  "nine.npy": npy(np.full((8, 8), 9)),
  "holes.npy": npy(np.full((8, 8), -1)),
  "shape.npy": npy(np.zeros((9, 9), int)),
  "mask.npy": npy(np.zeros((3, 8), bool)),
  "no arrays.npz": npz(),
  "several.npz": npz(a=MAPS, b=MAPS),
  "shapes.npz": npz(train=MAPS, val=MAPS[:, :4]),
  "twice.npz": npz(train=MAPS, val=MAPS, valid=MAPS),
  "never given.npz": npz(x=MAPS, given=np.full(40, -1)),
  "few given.npz": npz(x=MAPS, given=np.zeros(3, int)),
  "garbage.npz": b"PK\3\4" + bytes(100),
  "bomb.npz": bomb(),
}
TEXTS = {
  "empty.txt": "",
  "one.txt": "a" * 999,
  "short.txt": "ab",
  "blank.txt": "\n\n\n",
  "latin.txt": "caf\xe9 ".encode("latin-1") * 99,
  "utf-16.txt": b"\xff\xfea\0b\0c",
  "zeros.txt": bytes(999),
  "no.txt.gz": "hello",
  "capitals.txt": "THE CAT\n",
  "long.txt": "the cat " * 50,
  "🙂 a b.txt": "\U0001f642",
  "unclosed.csv": 'text,label\nabc,x\n"def',
  "ragged.csv": "text\nabc,x\n",
  "semicolons.csv": "a;b\n1;2\n",
  "blank.csv": "\n",
  "number.jsonl": '{"text": 3}',
  "list.jsonl": "[1]",
  "deep.jsonl": "[" * 100_000,
  "half.jsonl": '{"text": "\\ud800"}',
  "open.jsonl": "{",
  "beyond.jsonl": '{"categories": [99]}',
  "fraction.jsonl": '{"categories": [1e3]}',
  "nothing.jsonl": '{"categories": []}',
  "holes.jsonl": '{"categories": [-1, -1]}',
  "headless.fasta": "ACGT\n",
  "hollow.fasta": ">a\n>b\nAC\n",
  "bytes.fasta": b">a\nAC\xff\n",
  "tokenizer.json": "{}",
  "garbage/a.png": "garbage",
  "mixed/a.png": png(np.zeros((4, 4), np.uint8)),
  "mixed/b.png": png(np.zeros((5, 4), np.uint8)),
  "colors/a.png": png(np.zeros((4, 4, 3), np.uint8)),
  "gray/a.png": png(np.zeros((4, 4), np.uint8)),
  "no maps/a.txt": "a",
  "twice.csv": "1,2\n1,3\n",
  "list.json": "[1]",
}
CONFIGS = {
  "raises.py": "raise ValueError('a\\nb')",
  "exits.py": "import sys\nsys.exit(3)",
  "syntax.py": "x = (",
  "binary.py": b"\xff\xfe\0",
  "nothing.py": "x = 1",
  "number.py": "def get_config():\n  return 3",
  "numbers.py": "def get_config():\n  return {1: 2}",
  "circle.py": "def get_config():\n  found = {}\n  found['data'] = found\n  return found",
  "endless.py": "def get_config():\n  return get_config()",
  "object.py": "def get_config():\n  return {'data': object()}",
  "config.txt": "",
}


def write(folder):
  """Writes all of them into a folder."""
  for name, content in {**ARRAYS, **TEXTS, **CONFIGS}.items():
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
