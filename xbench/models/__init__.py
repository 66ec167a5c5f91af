"""Where encoders come from, and loading them."""
