"""How fast the study is, against plain and published ways of doing the same, in one run on one machine."""
