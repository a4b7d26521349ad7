"""Background work: a worker thread, progress, cancel. No torch, no viser."""
