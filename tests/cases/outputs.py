"""Codecs and models of the cases of output."""

from catgen.data.codecs import alphabet_codec, byte_codec, integer_codec
from catgen.interfaces import EventSpec
from catgen.media import media_of
from catgen.sources import Legend

LENGTH = 6
IN_A_LINE = 'ab "\\\t\u00a0\u200d\u2028\u2029\x85\x0b\x0c\x1c\x1e\0é東_'  # not what ends a line, whatever else there is
LINES = media_of(EventSpec((LENGTH,), len(IN_A_LINE)), alphabet_codec(IN_A_LINE), "character")
BYTES = media_of(EventSpec((LENGTH,), 256), byte_codec(), "byte")
LEGEND = Legend(("void", "road", "sky"), ("#000000", "#804080", "#4682b4"))
MAPS = media_of(EventSpec((2, 3), 3), integer_codec(3, (2, 3), LEGEND), "pixel")
