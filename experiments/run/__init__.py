"""Trains: the one loop, the devices and the screen, the result; one run, or many side by side."""
