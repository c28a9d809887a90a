"""Plain PyTorch transcriptions of the paper's networks, to compare speed with; not the authors' code.

Written from the equations and sizes of arXiv:2102.05379: eager operations, nothing fused, compiled or captured, as one
writes the equations down. PyTorch is no dependency of catgen and is imported here alone.

  python -m benchmarks.transcription --subjects=text,unet
"""
