"""Training: the sharded step, the optimizer, checkpoints and the loop. Sees `Model` and `Batch`, never a family."""
