"""Watching: is a silent worker hung, is a busy one looping, what long jobs did it hand over, what does it all use."""
