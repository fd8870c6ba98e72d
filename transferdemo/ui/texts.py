"""Every sentence of the page, in one place, so that a translation is one more file."""

from __future__ import annotations

TITLE = "transferdemo"
LEAD = "Show a network your pets. Look inside it, teach it, ask for its ideal cat, fool it."

# the bridge
FULL = "Too many people are waiting just now; try again in a minute."
ONE_EACH = "You already have a job running or waiting here; stop it first, or let it end."
BUG = "Something went wrong in the program, not in what you did. Try again; the details are in its log."


def waiting(ahead: int) -> str:
    """The line of someone who waits, with their place."""
    place = ahead + 1
    ending = "th" if 10 < place % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"Waiting: the device is busy, you are {place}{ending} in line."


# your photo
PHOTO = "Your photo"
TRY_ONE = "Or try one of these"
STAY_LOCAL = "Photos stay on this computer. They are deleted an hour after you used them."
STAY_SHARED = "Photos go to the computer that shared this page, and are deleted there an hour after you used them."
NOT_UPLOADED = "That picture was not uploaded here; choose it again."
NO_PHOTO = "Give a photo first."
EMPTY_CLASSIFY = "Give a photo, or press one of the examples: the network says what it is."

# the bar
NETWORK, HEAD, OTHERS = "Network, frozen", "Head: what it can name", "Other networks…"
OWN_HEAD = "1,000 things, its own"
NO_CLASSES = "no classes yet: teach it"
TEACH_FIRST = "This network has no classes of its own: teach it yours first."
MISSING, ANY_NAME = "Fetch a network of the table", "or any other, by its name in timm"
ANY_NAME_INFO = "resnet34.a1_in1k"
DOWNLOAD, STOP = "Download", "Stop"
TABLE_HEAD = ("network", "ImageNet top-1", "size", "licence", "weights", "")
NOT_HERE = "not here yet"
DEVICE = "Device"
DOWNLOAD_NOTE = "Weights come from the Hugging Face hub. Nothing else on this page asks another computer for anything."

# Classify
CLASSIFY = "Classify"
SAW = "What the network saw"
PAD = "Show it the whole picture, padded"
EXACT = "It went in pixel for pixel."
ALONE = "ImageNet's 1,000 classes alone"
TRAINED = "with a head trained on 1,000 photos"
LIVE, LIVE_NOTE = "Live camera", "The bars follow the camera. Frames are answered one at a time and kept nowhere."
LIVE_START, LIVE_STOP = "Start the camera", "Stop the camera"
NO_CAMERA = "No camera can be used here: allow it in the browser, and open the page by https or on this computer."
NO_FRAME = "That was not a frame of the camera."
COMPARE, COMPARE_RUN = "Compare networks", "Compare"
COMPARE_NOTE = "One photo, several networks: what each says, how large it is and how long it takes."
COMPARE_NONE = "Tick at least one network."
MANY, MANY_RUN = "Many photos at once", "Classify them"
MANY_NOTE = "A table with each photo's answer, and a file for a spreadsheet."
MANY_FILES = "Photos"
CSV = "Download the table (CSV)"


def lost(share: float) -> str:
    """What the crop leaves out."""
    return f"The crop leaves out {100 * share:.0f} % of your picture."
