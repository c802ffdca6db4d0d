"""Frames and files: how one becomes the other."""
