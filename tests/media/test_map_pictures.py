"""Pictures of maps show every pixel as a crisp square of its category's color, and say what the colors mean."""

import numpy as np
import pytest
from matplotlib import cbook
from PIL import Image

from catgen.batches import batch_of
from catgen.data.codecs import alphabet_codec, integer_codec
from catgen.interfaces import EventSpec, InputError
from catgen.media import map_chain, map_pictures, map_statistics, media_of
from catgen.reporting import colors, tiles
from catgen.sources import Legend

LEGEND = Legend(("sky", "road", "car"), ("#4682B4", "#804080", "#00008E"))
MAPS = np.random.default_rng(0).integers(0, 3, (5, 4, 8))
BLANK = {colors.rgb(color) for color in colors.BLANK}


def pixels(path):
  return np.asarray(Image.open(path).convert("RGB"))


def has(image, color):
  return bool((image == colors.rgb(color)).all(axis=-1).any())


@pytest.fixture
def sheets(monkeypatch):
  """Collects (blocks, sheet) of what is drawn."""
  found, draw = [], tiles.draw_sheet

  def keep(blocks, **keywords):
    found.append((blocks, draw(blocks, **keywords)))
    return found[-1][1]

  for module in (map_pictures, map_chain):
    monkeypatch.setattr(module, "draw_sheet", keep)
  return found


def test_colors_are_those_of_the_legend_and_no_category_is_a_checkerboard():
  x = np.array([[0, 1, 2], [3, -1, 3]])
  shown = colors.colored(x, LEGEND)
  assert shown.dtype == np.uint8
  assert [tuple(color) for color in shown[0]] == [(0x46, 0x82, 0xB4), (0x80, 0x40, 0x80), (0, 0, 0x8E)]
  assert [tuple(color) for color in shown[1]] == [colors.rgb(colors.BLANK[i % 2]) for i in (1, 2, 3)]
  np.testing.assert_array_equal(colors.colored(x[None, None], LEGEND)[0, 0], shown)
  with pytest.raises(InputError, match="'red' of the legend"):
    colors.colored(x, LEGEND._replace(colors=("red", "#000000", "#ffffff")))


@pytest.mark.parametrize(
  ("names", "written"),
  [(("天", "road", "車 car"), ("0", "road", "2")), (("ciel", "Straße", "Дом"), ("ciel", "Straße", "Дом"))],
)
def test_names_that_no_font_of_pictures_has_are_numbers_there_and_told(tmp_path, sheets, monkeypatch, names, written):
  told = []
  monkeypatch.setattr(map_pictures, "legend_entries", lambda maps, legend, blank: told.append(legend.names) or [])
  codec = integer_codec(3, (4, 8), LEGEND._replace(names=names))
  media = media_of(EventSpec((4, 8), 3), codec, "pixel")
  media.pictured.samples(str(tmp_path / "a.png"), batch_of(MAPS.astype(np.int32)), title="maps")
  assert told == [written]
  assert len(media.warnings()) == (names != written)
  assert all("天車" in line for line in media.warnings())
  assert "天" in media.shown(batch_of(np.zeros((1, 4, 8), np.int32)))[0] or names == written  # as a terminal shows them


def test_characters_of_a_text_that_no_font_has_are_told():
  codecs = [alphabet_codec(alphabet) for alphabet in ("a\nb", "aé\n العر", "天\n地")]
  lines = [media_of(EventSpec((4,), 3), codec, "character").warnings() for codec in codecs]
  assert [len(each) for each in lines] == [0, 0, 1]
  assert "have no 地天; " in lines[2][0]


@pytest.mark.parametrize("number", [1, 2, 8, 9, 100])
def test_categories_without_names_are_numbers_in_colors_that_differ(number):
  legend = colors.legend_or_numbers(None, number)
  assert legend.names == tuple(map(str, range(number)))
  assert len({colors.rgb(color) for color in legend.colors}) == number
  assert not BLANK & {colors.rgb(color) for color in legend.colors}
  assert colors.legend_or_numbers(LEGEND, 3) is LEGEND


def test_levels_get_lighter_with_their_number():
  levels = np.array([colors.rgb(color) for color in colors.legend_or_numbers(None, 64).colors])
  assert (np.diff(levels @ [0.2126, 0.7152, 0.0722]) > 0).all()


def test_a_pixel_becomes_a_square_of_one_color():
  squares = colors.colored(MAPS, LEGEND)
  page = tiles.draw_sheet([tiles.Block("", squares, 2)], title="maps")
  image, scale = np.asarray(page.image), page.scale
  assert scale > 4
  for tile, (x, y) in zip(squares, page.corners[0], strict=True):
    drawn = image[y : y + 4 * scale, x : x + 8 * scale].reshape(4, scale, 8, scale, 3)
    assert (drawn == tile[:, None, :, None]).all()
  assert (image[:10] == 255).all()  # the margin


@pytest.mark.parametrize(("number", "shape", "columns"), [(16, (32, 64), 4), (64, (32, 64), 8), (16, (8, 8), 4)])
def test_grids_fill_a_page(number, shape, columns):
  assert tiles.best_columns(number, *shape) == columns


@pytest.mark.parametrize("shape", [(1, 4, 8), (7, 32, 64), (3, 128, 256), (2, 5, 2000)])
def test_sheets_have_a_sensible_size(shape):
  squares = np.zeros((*shape, 3), np.uint8)
  page = tiles.draw_sheet([tiles.Block("", squares, tiles.best_columns(*shape))], title="")
  assert 400 <= page.image.size[0] <= max(tiles.WIDTH, shape[2]) + 2 * tiles.MARGIN


def test_grid_has_a_legend_of_what_occurs(tmp_path):
  path = tmp_path / "grid.png"
  map_pictures.map_grid(np.minimum(MAPS, 1), path, legend=LEGEND, title="a", labels=list("abcde"))
  below = pixels(path)[-40:]
  assert [has(below, color) for color in (*LEGEND.colors, *colors.BLANK)] == [True, True, False, False, False]
  map_pictures.map_grid(np.where(MAPS == 0, 3, MAPS), path, legend=LEGEND, columns=5)
  below = pixels(path)[-40:]
  assert [has(below, color) for color in (*LEGEND.colors, *colors.BLANK)] == [False, True, True, True, True]


def test_legends_say_what_the_checkerboard_means_and_stay_short():
  entries = map_pictures.legend_entries([MAPS, MAPS - 1], LEGEND, "masked")
  assert [entry.name for entry in entries] == ["sky", "road", "car", "masked"]
  levels = map_pictures.legend_entries([np.arange(1000).reshape(1, 1000)], colors.legend_or_numbers(None, 1000), "")
  assert 10 <= len(levels) <= 40
  assert (levels[0].name, levels[-1].name) == ("0", "999")


def test_sets_stand_beside_each_other(tmp_path, sheets):
  groups = {"data": MAPS, "samples": MAPS[:3]}
  map_pictures.maps_beside(groups, tmp_path / "a.png", legend=LEGEND, title="both")
  map_pictures.maps_beside(groups, tmp_path / "b.png", legend=LEGEND, columns=1)
  for blocks, page in sheets:
    assert [block.title for block in blocks] == ["data", "samples"]
    assert [len(corners) for corners in page.corners] == [5, 3]
    assert page.corners[0][0][1] == page.corners[1][0][1]  # the first rows are level
    assert max(x for x, _ in page.corners[0]) + 8 * page.scale < page.corners[1][0][0]  # nothing overlaps
  assert [y for _, y in page.corners[0][:3]] == [y for _, y in page.corners[1]]  # examples stand in a row
  np.testing.assert_array_equal(pixels(tmp_path / "b.png"), np.asarray(page.image))


def test_entropy_over_completions_by_hand():
  maps = np.array([[[0, 0, 0]], [[0, 1, 1]], [[0, 0, 2]], [[0, 1, 3]]])
  np.testing.assert_allclose(map_pictures.map_entropy(maps, 4), [[0.0, 1.0, 2.0]])


def test_uncertainty_shows_the_pattern_a_completion_and_the_entropy(tmp_path, sheets):
  observed = np.ones((4, 8), bool)
  observed[1:3, 2:6] = False
  path = tmp_path / "uncertainty.png"
  completions = np.where(observed, MAPS[0], MAPS)
  map_pictures.map_uncertainty(MAPS[0], observed, completions, path, legend=LEGEND, truth=MAPS[0])
  ((blocks, page),) = sheets
  assert [block.title for block in blocks] == [
    "observed",
    "a completion",
    "truth",
    "entropy over 5 completions",
    "bits",
  ]
  hidden = blocks[0].tiles[0][~observed]
  assert {tuple(color) for color in hidden.tolist()} == BLANK
  np.testing.assert_array_equal(blocks[0].tiles[0][observed], colors.colored(MAPS[0], LEGEND)[observed])
  image = np.asarray(page.image)
  left, top = page.corners[1][0]
  for row, column in np.argwhere(~observed):  # the outline does not hide the middle of a pixel
    y, x = (int((place + 0.5) * page.scale) for place in (row, column))
    np.testing.assert_array_equal(image[top + y, left + x], colors.colored(completions[0], LEGEND)[row, column])
  assert tuple(image[top + page.scale, left + 4 * page.scale]) != tuple(blocks[1].tiles[0][1, 4])  # the outline


@pytest.mark.parametrize(("shape", "heading"), [((1, 32), "0.00 to 1.00 bits"), ((8, 300), "0.00 to 1.00 bits"),
                                                ((8, 8), "bits")])  # fmt: skip
def test_the_scale_of_low_maps_has_its_ends_in_the_heading(tmp_path, sheets, shape, heading):
  observed = np.arange(shape[1]) < np.full(shape, shape[1] // 2)
  completions = np.stack([np.zeros(shape, int), np.ones(shape, int)])
  map_pictures.map_uncertainty(completions[0], observed, completions, tmp_path / "a.png", legend=LEGEND)
  blocks, sheet = sheets[-1]
  assert blocks[-1].title == heading
  colors_of_scale = {tuple(color) for color in blocks[-1].tiles.reshape(-1, 3).tolist()} - {(255, 255, 255)}
  assert len(colors_of_scale) >= 6
  if heading != "bits":  # nothing is written beside the tiles
    ((left, top),) = sheet.corners[-1]
    below = np.asarray(sheet.image)[top + shape[0] * sheet.scale : top + shape[0] * sheet.scale + 8, left:]
    assert (below == 255).all()


def test_uncertainty_takes_known_probabilities_and_a_scattered_pattern(tmp_path, sheets):
  observed = (np.indices((4, 8)).sum(axis=0) % 2).astype(bool)
  bits = np.where(observed, 0.0, np.linspace(0.0, 1.5, 32).reshape(4, 8))
  map_pictures.map_uncertainty(MAPS[0], observed, MAPS[:1], tmp_path / "x.png", legend=LEGEND, bits=bits)
  ((blocks, page),) = sheets
  assert [block.title for block in blocks] == ["observed", "a completion", "uncertainty", "bits"]
  left, top = page.corners[1][0]
  tile = np.asarray(page.image)[top : top + 4 * page.scale : page.scale, left : left + 8 * page.scale : page.scale]
  np.testing.assert_array_equal(tile, colors.colored(MAPS[0], LEGEND))  # no outline where it would cover everything
  darkness = 255 - blocks[2].tiles[0].astype(int).min(axis=-1)
  assert darkness[observed].max() < 100 < darkness[~observed].min()


CHAIN = np.stack([np.where(np.random.default_rng(1).random(MAPS.shape) < share, MAPS, 3) for share in (0, 0.5, 1)])
LABELS = ["0%", "50%", "100%"]


def test_chain_is_a_strip_with_a_row_for_each_example(tmp_path, sheets):
  path = tmp_path / "chain.png"
  map_chain.map_chain(CHAIN[:, :2], LABELS, path, legend=LEGEND)
  ((blocks, page),) = sheets
  assert [block.title for block in blocks] == LABELS
  assert len({corner for (corner, _) in page.corners}) == 3
  assert len({y for corners in page.corners for _, y in corners}) == 2
  assert has(pixels(path), colors.BLANK[0])


def test_animation_keeps_the_colors_and_rests_on_the_last_frame(tmp_path):
  path = tmp_path / "chain.gif"
  map_chain.map_chain_animation(CHAIN, LABELS, path, legend=LEGEND, milliseconds=100)
  image = Image.open(path)
  assert image.n_frames == 3
  durations = []
  for number in range(3):
    image.seek(number)
    durations.append(image.info["duration"])
  assert durations == [100, 100, 3000]
  assert all(has(np.asarray(image.convert("RGB")), color) for color in LEGEND.colors)


def test_statistics_name_sets_categories_and_directions(tmp_path, monkeypatch):
  figures = []
  monkeypatch.setattr(map_statistics, "save", lambda figure, path: figures.append(figure))
  classes = {"data": np.array([0.5, 0.3, 0.2]), "samples": np.array([0.6, 0.399, 0.001])}
  pairs = {"below": {name: np.outer(shares, shares) for name, shares in classes.items()}}
  map_statistics.map_statistics(classes, pairs, tmp_path / "x.png", legend=LEGEND)
  bars, shares, quotient, *_ = figures[0].axes
  assert [label.get_text() for label in bars.get_yticklabels()] == list(LEGEND.names)
  assert {label.get_text() for label in bars.texts} >= {"50", "30", "20", "60", "40", "0.1"}
  (shown,) = (axis for axis in (shares, quotient) if axis.get_title() == "data")
  np.testing.assert_allclose(shown.images[0].get_array(), np.outer(classes["data"], classes["data"]))
  (shown,) = (axis for axis in figures[0].axes if axis.get_title() == "samples over data")
  factors = shown.images[0].get_array()
  np.testing.assert_allclose(factors[0, 0], 0.6**2 / 0.5**2)
  np.testing.assert_allclose(factors[2, 2], 1 / 8)  # where the colors end
  assert shown.get_xlabel() == "below"


@pytest.mark.parametrize(
  ("shape", "directions"),
  [((1, 8), ["pixel to the right"]), ((8, 1), ["pixel below"]), ((2, 8), ["pixel to the right", "pixel below"])],
)
def test_maps_of_one_row_or_column_have_pairs_in_one_direction(shape, directions, monkeypatch):
  drawn = []
  monkeypatch.setattr(map_statistics, "map_statistics", lambda classes, pairs, *_, **__: drawn.extend(pairs))
  media = media_of(EventSpec(shape, 3), integer_codec(3, shape, LEGEND), "pixel")
  sets = dict.fromkeys(("data", "samples"), batch_of(np.zeros((2, *shape), np.int32)))
  media.pictured.statistics("x.png", sets)
  assert drawn == directions
  assert sum("pairs" in name for name, *_ in media.compared(sets)) == len(directions)


@pytest.mark.parametrize("number", [3, *(pytest.param(number, marks=pytest.mark.slow) for number in (20, 200))])
def test_statistics_are_a_picture_for_few_and_many_categories(number, tmp_path):
  shares = np.full(number, 1 / number)
  sets = {"data": shares, "samples": shares}
  pairs = {name: np.outer(shares, shares) for name in sets}
  path, legend = tmp_path / "statistics.png", colors.legend_or_numbers(None, number)
  map_statistics.map_statistics(sets, {"right": pairs, "below": pairs}, path, legend=legend)
  width, height = Image.open(path).size
  assert 1500 < width < 3000
  assert 800 < height < 2000


def test_names_with_dollars_are_no_formulas(tmp_path, monkeypatch):
  figures, saved = [], map_statistics.save
  monkeypatch.setattr(map_statistics, "save", lambda figure, path: figures.append(figure) or saved(figure, path))
  shares = np.full(3, 1 / 3)
  pairs = {"below": {name: np.outer(shares, shares) for name in ("data", "samples")}}
  legend = Legend(("$\\frac{$", "$a$", "US$"), LEGEND.colors[:3])
  map_statistics.map_statistics({"data": shares, "samples": shares}, pairs, tmp_path / "x.png", legend=legend)
  assert Image.open(tmp_path / "x.png").size[0] > 1500
  texts = [label.get_text() for axis in figures[0].axes for label in axis.get_yticklabels()]
  drawn = [text for text in texts if text.replace("\\", "") == "$a$"]
  assert len(drawn) == 3  # beside bars and beside both matrices
  assert not any(map(cbook.is_math_text, drawn))


def test_mistakes_are_one_line(tmp_path):
  with pytest.raises(InputError, match="no map to draw"):
    map_pictures.map_grid(MAPS[:0], tmp_path / "x.png", legend=LEGEND)
  with pytest.raises(InputError, match="no map to draw"):
    map_pictures.maps_beside({}, tmp_path / "x.png", legend=LEGEND)
  (tmp_path / "file").touch()
  with pytest.raises(InputError, match=r"cannot write .*File exists"):
    map_pictures.map_grid(MAPS, tmp_path / "file" / "x.png", legend=LEGEND)
  with pytest.raises(InputError, match="at least one frame"):
    map_chain.map_chain_animation(CHAIN, LABELS[:2], tmp_path / "x.gif", legend=LEGEND)
  shares = {"data": np.full(3, 1 / 3)}
  with pytest.raises(InputError, match="two to 4 sets"):
    map_statistics.map_statistics(shares, {}, tmp_path / "x.png", legend=LEGEND)
