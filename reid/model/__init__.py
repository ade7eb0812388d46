"""Network, losses, optimiser, training loop and checkpoints."""
