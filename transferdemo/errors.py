"""What can go wrong for a person. Each message is one sentence that says what to do.

DemoError
├── BadImage         a picture that cannot be used
├── BadFile          a head, zip or project file that cannot be used
├── BadFolder        a training set that cannot be used
├── BadSetting       a number, name or choice outside its range
├── MissingWeights   a network whose weights are not here and cannot be had
├── Busy             too many are waiting, or this visitor already has a job
└── OutOfMemory      the device is full, even with the smallest batch

Anything else that is raised is a bug.
"""


class DemoError(Exception):
    """The root of all errors that are shown to a person as they are."""


class BadImage(DemoError):
    """A picture that cannot be used."""


class BadFile(DemoError):
    """A head, zip or project file that cannot be used."""


class BadFolder(DemoError):
    """A training set that cannot be used."""


class BadSetting(DemoError):
    """A number, name or choice outside its range."""


class MissingWeights(DemoError):
    """A network whose weights are not here and cannot be had."""


class Busy(DemoError):
    """Too many are waiting, or this visitor already has a job."""


class OutOfMemory(DemoError):
    """The device is full, even with the smallest batch."""
