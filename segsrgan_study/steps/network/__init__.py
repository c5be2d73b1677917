"""Training and calibration of the study's network."""
