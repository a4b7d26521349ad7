"""Background work: a worker thread, progress, cancel. No torch, no viser."""

from gaussian_lens_app.jobs.job import PATIENCE, Job, JobState, JobStatus, before_landing, was_given_up
from gaussian_lens_app.jobs.report import Report, silent, within
from gaussian_lens_app.jobs.worker import LatestOnly, Worker

__all__ = [
    "PATIENCE",
    "Job",
    "JobState",
    "JobStatus",
    "LatestOnly",
    "Report",
    "Worker",
    "before_landing",
    "silent",
    "was_given_up",
    "within",
]
