"""Turns the facts about a source and the rules of a profile into the decisions about one clip.

Everything here is pure: no disk, no clock, no environment. It imports `contracts`, and from `ffmpeg` only what
describes and counts streams. Open `clip.py` first: it puts the decisions of the other modules together.
"""
