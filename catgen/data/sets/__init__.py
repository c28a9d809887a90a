"""Data sets: one file or folder each. To add one: a file here and a line in `catgen.data.SOURCES`."""
