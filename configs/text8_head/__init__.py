"""Small experiments on the first 11,747,521 characters of text8, for minutes on two CPU cores.

  head -c 11747521 text8 > text8_head       # MD5 149517feb7492de2961f1b75e3039474
  python -m launch.train --config=text8_head/NAME --workdir=runs/NAME --config.data.path=text8_head

All of it lies in the training part of text8's usual split: its numbers do not compare with published ones. Results
are in docs/RESULTS.md.
"""
