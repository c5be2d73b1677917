"""Statistics of the study: scores of methods, and how much volumes vary between patients and over echo times."""
