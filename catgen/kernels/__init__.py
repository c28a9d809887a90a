"""Kernels: what depends on the device. Each has a plain form, which says what it computes, and faster ones.

Pure functions of arrays. Nothing outside asks which device this is.
"""
