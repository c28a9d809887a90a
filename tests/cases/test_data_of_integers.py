"""Arrays, maps and tables: however integers are stored they mean the same."""

import hashlib

import numpy as np
import pytest

from catgen.data import splits
from catgen.data.category_table import make_table
from catgen.data.sets.array_file import array_file
from catgen.data.sets.label_maps import label_maps
from catgen.data.tables import read_table
from tests.cases.integers import FRACTIONS, MAPS, in_folder, saved, sizes, whole
from tests.refusals import refused

# What commit bb3dbfd, the first whose work directories may still be around, made of these data.
BEFORE = {
  "u1": ("03f534b77189af29a90dd3c069188399451a0262420450c4c0720e67b6a9b8bf", (78, 8, 4)),
  "<i8": ("ce5566440195bc0dd9618ca8647a733d935fb3f47cbdaf31cb65fde81c2f4b77", (77, 6, 7)),
  ">i8": ("e1f3a9ce93c6d1598a9a7a80f20b6ad65e0523dcdb8406008e3a28e2aa0b4cd6", (73, 11, 6)),
  ">u2": ("ee3fe108af011c6a626a9d7c2f2b93a108238f75f99046166fa7f5b54e22453a", (73, 7, 10)),
  "Fortran <i4": ("257c1250a103d8c9590bae4ea1ea2d511a322ebb61b5a2904a00b2449f30787b", (68, 6, 16)),
  "bool": ("cd840256bee3a8fe4986a542997d47228e65286bb5be4c5e0040c713e537e555", (71, 13, 6)),
  "hundreds <i8": ("d0b21aa049f5f78ceb3dc082a0c37e6aa150870f82cb66123f7b323e71612277", (69, 11, 10)),
  "folder": ("3d14cfaeace102257159553bec9404553eae465161e2b4f04f39f75ea5f0f4d3", (73, 8, 9)),
  "folder of 5": ("03f534b77189af29a90dd3c069188399451a0262420450c4c0720e67b6a9b8bf", (78, 8, 4)),
  "folder, mapped": ("147c87b279d8c57c717021416d2b984f2409d5e9c1c92ad6348a19bd51b9631e", (74, 10, 6)),
  "folder, smaller": ("7a6e26e83c452209d42f4f310ccbda0924da10bee759562b640c1cee65179a95", (71, 7, 12)),
  "maps >i4": ("dc58457b85115fbe651440f2a198a1e13789bf19710ace73247511f967eb64e1", (76, 6, 8)),
  "stream": ("e05f566a3c240dda94076d64f23896a9184fb00dd4ce34a35059d43e6663236a", (81, 4, 4)),
  "named": ("4b1d9b2bc55b3f0eba9218f5f70eec33f4b38518e1ea5c890b9c486ccf782ecb", (60, 30)),
}
# What the versions between that commit and rule 3 made of them where it was something else.
BETWEEN = {
  **dict.fromkeys(("<i8", ">i8", ">u2", "Fortran <i4", "folder", "maps >i4"), BEFORE["u1"]),
  "hundreds <i8": ("e2d4c2673fb8d44b3682bc324592a3910be8c4b58cb48f35ceeb6e5b75f6b059", (75, 4, 11)),
  "folder, smaller": ("ef28113486dbbbda8baf7a464cff4097feb992979addb480c7f4c5acfc79049c", (79, 4, 7)),
}


def stored(folder, name, **keywords):
  """Returns the source of the data of a name of BEFORE."""
  if name.startswith("folder"):
    extra = {
      "folder of 5": {"num_classes": 5},
      "folder, mapped": {"mapping": "0:1 1:1 2:0 3:2 4:0"},
      "folder, smaller": {"shape": (2, 2)},
    }
    return label_maps(in_folder(folder, MAPS), splits=FRACTIONS, **extra.get(name, {}), **keywords)
  if name == "stream":
    return array_file(saved(folder / "stream.npy", MAPS.ravel()), length=12, **keywords)
  if name == "named":
    np.savez(folder / "a.npz", train=MAPS[:60], val=MAPS[60:].astype("u1"))
    return array_file(str(folder / "a.npz"), **keywords)
  array = MAPS > 2 if name == "bool" else MAPS * 100 if name.startswith("hundreds") else MAPS.astype(name.split()[-1])
  array = np.asfortranarray(array) if name.startswith("Fortran") else array
  read = label_maps if name.startswith("maps") else array_file
  return read(saved(folder / f"{name}.npy", array), splits=FRACTIONS, **keywords)


@pytest.mark.parametrize("name", BEFORE)
def test_c1_old_rules_give_the_splits_and_fingerprints_that_they_gave(tmp_path, name):
  for rule, expected in ((1, BEFORE[name]), (2, BETWEEN.get(name, BEFORE[name]))):
    source = stored(tmp_path, name, split_rule=rule)
    assert (source.fingerprint, sizes(source)) == expected


def test_c1_splits_and_fingerprints_depend_on_the_integers_alone(tmp_path):
  ways = [stored(tmp_path, name) for name in ("u1", "<i8", ">i8", ">u2", "Fortran <i4", "folder", "folder of 5")]
  ways += [stored(tmp_path, "maps >i4"), stored(tmp_path, "u1", num_classes=300)]
  ways += [array_file(saved(tmp_path / "a.npz", MAPS), num_classes=70_000, splits=FRACTIONS)]
  ways += [array_file(str(tmp_path / "a.npz"), splits=FRACTIONS, relabel=True)]
  assert len({source.fingerprint for source in ways}) == 1
  for source in ways:
    np.testing.assert_array_equal(whole(source).x, whole(ways[0]).x)
    assert sizes(source) == sizes(ways[0])
  kinds = ("bool", "u1", ">i4")
  binary = [array_file(saved(tmp_path / f"{d}_.npy", (MAPS > 2).astype(d)), splits=FRACTIONS) for d in kinds]
  assert len({source.fingerprint for source in binary}) == 1


def test_c1_rule_3_is_the_hash_of_little_endian_words(tmp_path):
  source = stored(tmp_path, ">i8", split_rule=3)
  shares = [int(hashlib.blake2b(one.astype("<u4").tobytes(), digest_size=6).hexdigest(), 16) / 16**12 for one in MAPS]
  parts = [MAPS[[0.8 <= s < 0.9 for s in shares]], MAPS[[s >= 0.9 for s in shares]]]
  assert sizes(source)[1:] == (len(parts[0]), len(parts[1]))
  digest = hashlib.sha256()
  for name, part in zip(splits.NAMES, [MAPS[[s < 0.8 for s in shares]], *parts], strict=True):
    digest.update(f"{name}\n".encode() + part.astype("<u4").tobytes() + f"\n{part.size}\n".encode())
  assert source.fingerprint == digest.hexdigest()


def test_c1_a_rule_that_does_not_exist_or_fit_is_refused(tmp_path):
  path = saved(tmp_path / "a.npy", MAPS)
  refused("split_rule is 5; it must be one of 1, 2, 3, 4", array_file, path, split_rule=5)
  refused("split_rule 2 is of versions that had neither", array_file, path, split_rule=2, ignore=(4,))


PAIRS = {"7": 0, "8": 0, "11": 1, "-1": 2}


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("separator", [",", ";", "\t", " , ", '"', "declared"])
@pytest.mark.parametrize("breaks", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("titles", [False, True])
def test_c2_a_mapping_is_read_as_spreadsheets_save_it(tmp_path, mark, separator, breaks, titles):
  quoted = separator == '"'
  between = {'"': ";", "declared": ";"}.get(separator, separator)
  rows = [("id", "category")] * titles + [(one, str(other)) for one, other in PAIRS.items()]
  lines = [between.join(f'"{cell}"' if quoted else cell for cell in row) for row in rows]
  lines = ["sep=;"] * (separator == "declared") + lines + [between, between * 3]  # rows that someone has emptied
  (tmp_path / "t.csv").write_bytes((mark + breaks.join(lines) + breaks).encode())
  table = make_table(str(tmp_path / "t.csv"), 3, None)
  assert dict(zip(map(str, table.ids), table.categories, strict=True)) == PAIRS


@pytest.mark.parametrize(
  ("content", "message"),
  [
    ("7,0\n8\n", r"line 2 has 1 column, separated by ','"),
    ("7 0\n8 1\n", r"line 1 has 1 column, separated by ','"),
    ("7,0\n8O,1\n", r"line 2: '8O' is no label id"),
    ("7O,0\n8,1\n", r"line 1: '7O' is no label id"),
    ("id;category\n7;0\n\n8;x1\n", r"line 4: 'x1' is no category"),
    ("7,0\n8,\n", r"line 2: '' is no category"),
    ("7,0\n8,1.0\n", r"line 2: '1.0' is no category"),
    ("7,0\n7,1\n", "lists an id twice"),
    ("7,0\n8,-1\n", 'category -1 of the mapping .* .line 2. is negative; write "ignore"'),
    ("7,0\n#010203,1\n", "lists label ids and colors; list one kind"),
  ],
)
def test_c2_what_cannot_be_read_is_named_by_line_and_cell(tmp_path, content, message):
  (tmp_path / "t.csv").write_text(content)
  assert "t.csv" in refused(message, make_table, str(tmp_path / "t.csv"), None, None)


def test_c2_no_entry_of_an_object_and_no_label_is_lost(tmp_path):
  (tmp_path / "t.json").write_text('{"7": 0, "7": 1}')
  refused("lists an id twice", make_table, str(tmp_path / "t.json"), None, None)
  folder = in_folder(tmp_path / "maps", MAPS[:3], ["caf\u00e9.png", "b, 1.png", "c.png"])
  (tmp_path / "l.csv").write_text('file;label\ncafe\u0301.png;x\n"b, 1.png";y\nc.png;\n')
  source = label_maps(folder, splits=(3, 0, 0), labels=str(tmp_path / "l.csv"))
  assert source.splits["train"].examples(np.arange(3)).given.tolist() == [[1], [2], [0]]
  (tmp_path / "l.csv").write_text("c.png,x\nc.png,y\n")
  refused("gives 'c.png' two labels, 'x' and 'y'; keep one", label_maps, folder, labels=str(tmp_path / "l.csv"))
  assert read_table(str(tmp_path / "t.json"), "labels") == [("7", 0), ("7", 1)]
