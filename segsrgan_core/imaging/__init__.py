"""Geometry, contrast, noise, intensities and hemispheres of images; uses numpy, scipy and nibabel only."""
