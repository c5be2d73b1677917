"""Verdict on a segmented image: measures, rules, and how likely its cortical volume is wrong."""
