"""Phantoms: synthetic neonatal heads made from the ICBM152 tissue maps."""
