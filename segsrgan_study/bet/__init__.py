"""BET: the brain extraction of Smith 2002, for the intracranial volume."""
