"""Training, calibration and evaluation on folders or tables of photos."""
