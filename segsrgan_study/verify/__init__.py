"""`segsrgan verify`: whether the committed results are what the committed code, settings and data give."""
