"""Declares the fields of configs, runs the files that set them, and refuses what may not stand together."""
