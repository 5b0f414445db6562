"""Provides what any program here is made of, whatever it does: flags, files, locks, signals, words for time
and for numbers, parts of figures. Nothing here knows of a run or of a sweep."""
