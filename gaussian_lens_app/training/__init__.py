"""Data sets, procedural scenes and loops that make the released weights. The viewer never imports this folder."""
