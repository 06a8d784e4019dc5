"""The training loop: sampling, losses, optimizer, several processes."""
