"""Every error this program raises on purpose; each message says what happened and what to do.

GsrError
|-- FileError              a file could not be read or written
|   |-- UnknownFormat      no reader or writer for this suffix or these first bytes
|   |-- BadFile            truncated, inconsistent or missing what the format needs
|   `-- ExportError        the target could not be written; what stood there still stands
|-- CaptureError           photos and cameras that do not fit together, or do not see the scene
|-- MethodError            an upgrade method cannot run on this task
|   |-- NeedsMissing       the method needs something that is not there (photos, weights, a device)
|   `-- NothingSelected    the box holds no Gaussian
|-- DeviceError            the device asked for is not there, or its memory ran out
`-- JobCancelled           the user stopped the job; not a failure
"""


class GsrError(Exception):
    """Base of all errors whose message is meant for the user."""


class FileError(GsrError):
    """A file could not be read or written."""


class UnknownFormat(FileError):
    """No reader or writer for this suffix or these first bytes."""


class BadFile(FileError):
    """The file is truncated, inconsistent, or lacks what its format needs."""


class ExportError(FileError):
    """The target could not be written; what stood there before still stands."""


class CaptureError(GsrError):
    """Photos and cameras that do not fit together, or do not see the scene."""


class MethodError(GsrError):
    """An upgrade method cannot run on this task."""


class NeedsMissing(MethodError):
    """The method needs something that is not there: photos, weights, a device."""


class NothingSelected(MethodError):
    """The box holds no Gaussian."""


class DeviceError(GsrError):
    """The device asked for is not there, or its memory ran out."""


class JobCancelled(GsrError):
    """The user stopped the job; not a failure."""

    kept: object = None
    """What was finished until then, where that is of use by itself: a method's patch of its last round."""
