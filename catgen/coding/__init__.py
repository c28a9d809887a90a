"""Lossless coding with a model's own probabilities: files of about as many bits as its -log2 p."""
