"""Models of data with labels, for guidance and for classification by Bayes' rule.

  python -m launch.train --config=labelled/NAME --workdir=runs/NAME
  python -m launch.sample --workdir=runs/NAME --given=LABEL=VALUE --guidance=2
  python -m launch.classify --workdir=runs/NAME --split=test

Results are in docs/RESULTS.md.
"""
