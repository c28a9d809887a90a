"""Small experiments on sets whose best likelihood is known exactly, for some minutes of one CPU core each."""
