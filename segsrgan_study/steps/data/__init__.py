"""Cases on disk: from a manifest to prepared images."""
