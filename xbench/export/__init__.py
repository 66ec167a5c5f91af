"""From a fine-tuned stage to an ordinary model folder that other programs load."""
