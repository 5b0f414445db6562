"""Trains one run in several processes, on one host or on many: how they find each other, agree and end.

Process 0 owns the run: it alone reads and writes the folder, prints, and decides how the run ends. The others
compute, and hear from it what they need, so no file system is shared. Small things travel by the key-value
store of JAX's coordinator, which waits as long as it takes; arrays by a collective of the devices.
"""
