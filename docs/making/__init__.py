"""The site of the documentation, made of the pages in docs/, of docstrings, registries, records and notebooks.

python -m docs.making                    # build/site, as `make docs` does
python -m docs.making --external         # asks every address elsewhere whether it is there
"""
