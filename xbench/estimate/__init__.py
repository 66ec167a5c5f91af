"""What a plan will cost on this machine: counts of the work, times costs from a short calibration."""
