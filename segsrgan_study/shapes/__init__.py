"""Topology of a segmentation, and the shape of the cortex: area, thickness, gyrification and depth of the sulci."""
