"""The methods to compare with, each run after cubic-spline interpolation of the low-resolution image."""
