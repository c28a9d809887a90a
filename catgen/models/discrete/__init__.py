"""Flows of categories themselves: x is a bijection of other categories, whose probabilities are known: all is exact."""
