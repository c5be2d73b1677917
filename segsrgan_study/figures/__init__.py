"""The figures of the paper, drawn from the tables in results/."""
