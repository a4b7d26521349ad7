"""Background work: a worker thread, progress, cancel. No torch, no viser."""

from gaussian_lens_app.jobs.job import Job, JobState, JobStatus
from gaussian_lens_app.jobs.report import Report, silent, within
from gaussian_lens_app.jobs.worker import LatestOnly, Worker

__all__ = ["Job", "JobState", "JobStatus", "LatestOnly", "Report", "Worker", "silent", "within"]
