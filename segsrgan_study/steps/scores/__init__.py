"""Scores of the network and of the methods to compare with."""
