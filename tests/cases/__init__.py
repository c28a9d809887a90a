"""Rough uses that once went wrong, one test each, named by its number: a work lost, b runs that could not go on, c data
read wrongly, d output that was not what was drawn, e sizes, f installations, g numbers at the edges."""
