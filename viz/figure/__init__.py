"""Pictures that matplotlib draws: learning curves and attention maps."""
