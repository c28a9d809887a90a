"""Sections `data` of a configuration, one function per kind of data set. See base.py, which has them all."""

from ml_collections import ConfigDict, config_dict


def stdlib_docs() -> ConfigDict:
  """The documentation inside this Python, as 27 characters: about 1.8 M characters, needs no download."""
  return ConfigDict({"kind": "stdlib_docs", "length": 128})  # length: positions of one example


def text8() -> ConfigDict:
  """The first 100 M characters of cleaned Wikipedia; 90/5/5 M; 27 classes."""
  return ConfigDict(
    {
      "kind": "text8",
      "length": 256,
      "path": config_dict.placeholder(str),  # a local text8 or text8.zip; None = download
      "data_dir": config_dict.placeholder(str),  # of TFDS; None = its default
      "max_bytes": config_dict.placeholder(int),  # use only the first so many characters
      "splits": (0.9, 0.05, 0.05),  # train, validation, test: fractions, or counts of positions, in order
    }
  )


def enwik8() -> ConfigDict:
  """The first 100 M bytes of a Wikipedia dump; 90/5/5 M; 256 classes."""
  return ConfigDict({**text8(), "kind": "enwik8", "length": 320})


def text_file() -> ConfigDict:
  """Any file of yours as one stream of characters or bytes."""
  return ConfigDict(
    {
      "kind": "text_file",
      "path": config_dict.placeholder(str),  # required
      "length": 256,
      "alphabet": "infer",  # "infer", "bytes", "text8", or the characters themselves
      "splits": (0.9, 0.05, 0.05),  # train, validation, test: fractions, or counts of positions, in the file's order
      "max_bytes": config_dict.placeholder(int),
    }
  )


def text_lines() -> ConfigDict:
  """Any file of yours as one record a line: sentences, proteins, DNA."""
  return ConfigDict(
    {
      "kind": "text_lines",
      "path": config_dict.placeholder(str),  # required
      "length": 128,  # of the longest record kept
      "alphabet": "infer",
      "splits": (0.9, 0.05, 0.05),
      "longer": "refuse",  # what happens to records longer than `length`: "refuse", "cut" or "drop"
      "max_bytes": config_dict.placeholder(int),
    }
  )


def array_file() -> ConfigDict:
  """A .npy or .npz of integers, one record along the first axis, of any event shape."""
  return ConfigDict(
    {
      "kind": "array_file",
      "path": config_dict.placeholder(str),  # required
      "num_classes": config_dict.placeholder(int),  # K; None = largest value + 1
      "length": config_dict.placeholder(int),  # of the sequences that a stream (one axis) is cut into
      "splits": (0.9, 0.05, 0.05),  # where the file has no arrays train, validation, test
    }
  )


def label_maps() -> ConfigDict:
  """Label maps of yours: a folder of PNG files, or a .npy or .npz."""
  return ConfigDict(
    {
      "kind": "label_maps",
      "path": config_dict.placeholder(str),  # required
      "num_classes": config_dict.placeholder(int),  # K; None = as many as names, or the largest category + 1
      "names": (),  # of the categories, in order; on the command line "road,sky,car"
      "colors": (),  # of the categories, "#rrggbb"; () = the files' palette, or by their names
      # label id -> category: "7:0 8:0 11:1", or a .json object, or a .csv of two columns; None = ids are categories
      "mapping": config_dict.placeholder(str),
      "other": config_dict.placeholder(int),  # category of all other label ids; None = they are refused
      "shape": config_dict.placeholder(
        tuple
      ),  # (height, width) to bring maps to, nearest neighbors; None = as they are
      "crop": False,  # cut to the proportions of `shape` around the center first; False = squeeze
      "pattern": "*.png",  # of the names of a folder's files
      "splits": (0.9, 0.05, 0.05),  # where no folders or arrays are called train, validation (val), test
      # Augmentation of the training split, which training.crops = True draws from:
      "flip": False,  # mirror half of the maps, left to right
      "shift": (0, 0),  # (vertical, horizontal): move maps by up to so many pixels, repeating the border
    }
  )


def cityscapes() -> ConfigDict:
  """Your licensed copy of Cityscapes: 2500 maps to train on, 475 for validation, 500 for the test."""
  return ConfigDict(
    {
      "kind": "cityscapes",
      "path": config_dict.placeholder(str),  # gtFine_trainvaltest.zip, or its folder; needed once
      "data_dir": config_dict.placeholder(str),  # of TFDS; None = its default
      "classes": 8,  # categories; 34 = label ids
      "shape": (32, 64),  # or (128, 256)
      "flip": True,  # see label_maps
      "shift": (2, 4),
    }
  )


def street_scenes() -> ConfigDict:
  """Streets drawn from random numbers, in the 8 categories of Cityscapes: needs no download."""
  return ConfigDict(
    {
      "kind": "street_scenes",
      "shape": (32, 64),  # (height, width), each at least 16
      "splits": (20_000, 500, 500),  # maps to train on, for validation, for the test
      "seed": 0,  # of the data set
      "flip": False,  # see label_maps; a street and its mirror image are equally likely as it is
      "shift": (0, 0),
    }
  )


def squares() -> ConfigDict:
  """A toy: a few squares of random categories over one another on a background."""
  return ConfigDict(
    {
      "kind": "squares",
      "shape": (16, 16),  # (height, width), each at least 4
      "num_classes": 4,  # K; category 0 is the background
      "num_squares": 3,  # the most of a map
      "splits": (10_000, 500, 500),  # maps to train on, for validation, for the test
      "seed": 0,  # of the data set
      "flip": False,  # see label_maps
      "shift": (0, 0),
    }
  )
