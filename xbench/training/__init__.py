"""Examples, batches, the one training loop, and prediction."""

TRAINING_VERSION = 3
"""A part of every stage's key. Raise it when the same stage would learn other weights; a golden-loss test guards it."""
