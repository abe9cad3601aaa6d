"""What happens inside a model: attention at work, and the film of a training run."""
