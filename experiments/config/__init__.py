"""Configs: their fields, the files that declare them, and what may not stand together."""
