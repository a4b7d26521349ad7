"""One file a subcommand: its arguments as a dataclass, and `run()`, which imports torch itself: help is quick."""
