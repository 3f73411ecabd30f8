"""The training loop: batches, optimizer, checkpoints, processes."""
