"""Geometry, degradation, contrast, noise and files of images; knows numpy, scipy and nibabel only."""
