"""The panel beside the picture, one concern a file."""
