"""The training step timed, beside PyTorch."""
