"""Label maps of the methods to compare with."""
