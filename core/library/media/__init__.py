"""Turns frames into files, and files into frames."""
