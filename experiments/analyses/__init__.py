"""Answers questions about a trained network, each with a number, a picture and the arrays behind it."""
