"""Every sentence of the page, in one place, so that a translation is one more file."""

from __future__ import annotations

TITLE = "transferdemo"
LEAD = "Show a network your pets. Look inside it, teach it, ask for its ideal cat, fool it."

# the bridge
FULL = "Too many people are waiting just now; try again in a minute."
ONE_EACH = "You already have a job running or waiting here; stop it first, or let it end."
BAD_INPUT = "One of the inputs is not of the kind that its place takes; see the API page, or choose it again."
NO_ROOM = "There is no room left on the disk of this computer; try again a little later."
BUG = "Something went wrong in the program, not in what you did. Try again; the details are in its log."


def waiting(ahead: int, seconds: float | None = None) -> str:
    """The line of someone who waits, with their place and about how long."""
    place = ahead + 1
    ending = "th" if 10 < place % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    left = "" if seconds is None else f", about {about(seconds)}"
    return f"Waiting: the device is busy, you are {place}{ending} in line{left}."


def about(seconds: float) -> str:
    """A time that is a guess: "5 s", "40 s", "3 min"."""
    if seconds >= 90:
        return f"{seconds / 60:.0f} min"
    return f"{max(5, 5 * round(seconds / 5))} s"


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


def otherwise(name: str, percent: str) -> str:
    """What the head would have said of a strange photo."""
    return f"It would have said {name}, {percent}: one of its classes is all that it can name."


def why_strange(false_alarm: float) -> str:
    """How sure "not one of yours" is."""
    return (
        f"The photo is farther from those it learned from than {100 * (1 - false_alarm):.0f} in 100 photos like them are; "
        f"so of its own, about {100 * false_alarm:.0f} in 100 get this answer too."
    )


# Teach
TEACH = "Teach"
STEP_PHOTOS, STEP_TRAIN, STEP_REPORT, STEP_HOME = "Photos", "Train", "How good?", "Take it home"
TEACH_LEAD = "Show the network two things. Seconds later it tells them apart."
OR_FOLDER = "Or a folder"
BY_PATH, USE_IT = "Or a folder of this computer, by its path", "Use it"
ONLY_LOCAL = "A folder can be named by its path only where the program was started with --local."
NO_PATH = "Type the path of a folder with one sub-folder for each class."
READY = "Ready sets"
READY_NOTE = (
    "The first two come as features that the default network computed; their photos are not ours to give. "
    "Digits are unlike ImageNet's pictures: expect less."
)
READY_SETS = {"cats_dogs": "Cats or dogs", "pets37": "37 breeds"}
DIGITS, OXFORD = "Hand-written digits", "Oxford-IIIT Pet, all photos (internet, 800 MB)"
LOOKING = "Looking at the photos …"
NOT_ALL = "There was not time enough to look at all photos; use fewer of them, or start the program with --local."
NO_SET = "Give photos first, or choose a ready set."
ASIDE = "Set aside"
TAKE_BACK, RESTORE, CHOOSE_BACK = "Take these back", "Take back", "Choose the photos to take back."
CLASSES, WHICH, NEW_NAME, RENAME, LEAVE = "Classes", "Class", "New name", "Rename", "Leave out, or take in"
INFERRED = "The classes were read from the file names: are they right?"
NO_PICTURES = "This set has features only, so no photos can be shown."
READY_OTHER = "This ready set was computed by the default network; choose that above, or give photos."
TRAIN, MORE = "Train", "More settings"
TRAIN_EMPTY = "Press Train and watch the loss fall. The network stays frozen; only the head learns."
TO_TRAIN, TO_REPORT, TO_HOME = "Train with these →", "How good is it? →", "Take it home →"
LOSS, ACCURACY = "Loss", "Accuracy"
YOUR_PHOTO_NOW = "Your photo, as the head sees it now"
REPORT_EMPTY = "Train first: then this says how good the head is, and on which photos it fails."
HOME_EMPTY = "Train first: then the head can be downloaded, and the whole project saved."


# Fool
FOOL = "Fool"
FOOL_LEAD = "Change your photo so little that nobody sees it, and the network says something else."
FOOL_EMPTY = "Press the button: the photo stays what it is, the answer does not. An example is taken if you gave none."
FOOL_TARGET, FOOL_TARGET_INFO = "It should say", "Type to search. Any class that the head knows."
FOOL_ANYTHING = "anything else"
FOOL_RUN = "Fool it"
FOOL_METHOD = "Method"
FOOL_METHODS = {
    "smallest": "smallest change",
    "pgd-linf": "PGD, every value a little (L-infinity)",
    "pgd-l2": "PGD, the whole change limited (L2)",
    "fgsm": "FGSM, one single step",
    "lesson": "as the lesson does it",
}
FOOL_STEPS, FOOL_TV, FOOL_CONFIDENCE = "Steps", "Smoothness (total variation)", "How sure it should be"
FOOL_STEPS_INFO = {
    "smallest": "More steps find a smaller change; it stops by itself when nothing shrinks any more.",
    "pgd-linf": "More steps make the network surer of the target; no value moves further.",
    "pgd-l2": "More steps make the network surer of the target; the change gets no larger.",
    "fgsm": "This method takes one step, whatever stands here.",
    "lesson": "Every step adds to the change; nothing stops it from growing.",
}
FOOL_TV_INFO = {
    "smallest": "0: fine grain, the smallest change. Higher: soft patches, and a larger change.",
    "pgd-linf": "0: fine grain. Higher: soft patches; every value still moves by the strength.",
    "pgd-l2": "0: fine grain. Higher: soft patches, and a network that is less sure.",
    "fgsm": "0: fine grain. Higher: soft patches; the one step finds less.",
    "lesson": "0: fine grain. Higher: soft patches.",
}
FOOL_CONFIDENCE_INFO = {
    "smallest": "0: the target just comes first. Higher: a surer answer, and a larger change.",
    "pgd-linf": "0: as sure as the steps allow. Higher: it stops as soon as the target has this probability.",
    "pgd-l2": "0: as sure as the steps allow. Higher: it stops as soon as the target has this probability.",
    "fgsm": "One step is what it is: here this changes nothing.",
    "lesson": "0: all steps are taken. Higher: it stops as soon as the target has this probability.",
}
FOOL_EPSILON = {
    "pgd-linf": (
        "Strength (epsilon, grey levels of 255)",
        "No value moves further than this. From about 8 on you see it.",
    ),
    "fgsm": (
        "Strength (epsilon, grey levels of 255)",
        "Every value moves by exactly this. From about 8 on you see it.",
    ),
    "pgd-l2": ("Strength (epsilon, length of the whole change)", "1 is what nobody sees; from about 10 on you see it."),
}
FOOL_SLIDER, FOOL_LIVE, FOOL_TIMES = "Before | after", "after, so far", "The change, made visible"
FOOL_CHANCES, FOOL_SIZE = "What the network says", "Size of the change (L2)"
FOOL_STARTS = "The network reads the photo …"
FOOL_SAVED, FOOL_STILL = "Saved file", "still"
FOOL_NOISE_SOON = "Same amount of random noise: being tried …"
FOOL_NOT = "Not fooled this time: take more steps, a larger strength, or another target."
FOOL_NO_TIME = "The time was up before the first step; try again, or choose a smaller network."
FOOL_DOWNLOAD, FOOL_USE = "Download the PNG", "Use it as my photo"
FOOL_USED = "This picture is your photo now: every tab sees it pixel for pixel. What does it look like in Inside?"
FOOL_RECEIPT = "Full receipt"
FOOL_RECEIPT_EMPTY = "Fool the network first: then this says what becomes of the picture in the world."
FOOL_TABLE, FOOL_YES, FOOL_NO = ("the picture as", "it says", "fooled"), "yes", "no"
FOOL_L2, FOOL_LINF, FOOL_SHARE = "length of the change (L2)", "largest change (L-infinity)", "values changed"
FOOL_CONTROL = "random noise of this size that changed the answer"
FOOL_CHIPS = {
    "cat": "dog into cat, cat into dog",
    "noise": "same amount of random noise?",
    "jpeg": "as a JPEG?",
    "other": "does the other network fall for it?",
}
FOOL_STRENGTH, FOOL_MEASURE = "How strong is my head?", "Measure"
FOOL_STRENGTH_NOTE = (
    "How many photos are still named rightly when every value may move by 0 to 8 grey levels of 255. "
    "Both heads sit on the same frozen network."
)
FOOL_NO_HELD = (
    "There are no held-out photos of a head of your own here, so your photo and the examples are taken, "
    "and what the head says of them unchanged counts as right."
)
FOOL_MY_HEAD, FOOL_OWN_CLASSES = "this head", "the network's own classes"
FOOL_CURVE = "Still named rightly"


def fool_magnified(times: int) -> str:
    """What is written on the picture of the change."""
    return "the change" if times == 1 else f"the change × {times}"


def fool_step(step: int, total: int, size: float, found: bool, shrinks: bool) -> str:
    """How far the attempt is."""
    words = "not yet" if not found else "it is fooled, the change shrinks" if shrinks else "it is fooled"
    return f"Step {step} of {total}: {words} (L2 {size:.2f})"


def fool_changed(share: float, levels: int) -> str:
    """How much of the picture was changed."""
    amount = f"{100 * share:.0f} %" if share >= 0.01 else f"{100 * share:.1f} %"
    return f"{amount} of the values changed, by at most {levels} of 255"


def fool_noise(changed: int, draws: int, before: str) -> str:
    """The control, in a line."""
    if not changed:
        return f"Same amount of random noise: still {before}"
    return f"Same amount of random noise: another answer in {changed} of {draws} tries"


def fool_why(target: str, levels: int) -> str:
    """What was just seen."""
    return (
        f"The network adds up what all values of the picture say, each a little. At most {levels} grey levels were enough "
        f"because every changed value was moved the way that speaks for {target}; random noise points everywhere and cancels "
        "out. You look at shapes, so for you nothing happened."
    )


def fool_lesson(low: float, high: float, size: float) -> str:
    """What the lesson's own way does wrong."""
    return (
        f"The lesson's way asks for no limit: its values ran from {low:.2f} to {high:.2f}, a picture holds 0 to 1, and the "
        f"change has a length of {size:.1f}. What counts here is the file that was saved after cutting and rounding."
    )


def fool_answer_pet(before: str, after: str, share: float, levels: int) -> str:
    """Answer of the first chip."""
    return f"Yes: {before} became {after}. {fool_changed(share, levels)}."


def fool_answer_noise(changed: int, draws: int, before: str) -> str:
    """Answer of the noise chip."""
    if not changed:
        return f"The same amount of random noise? Still {before}, in all {draws} tries."
    return f"The same amount of random noise? It changed the answer in {changed} of {draws} tries."


def fool_answer_jpeg(said: str, fooled: bool) -> str:
    """Answer of the JPEG chip."""
    if fooled:
        return f"As a JPEG of quality 90? It survives: {said}."
    return f"As a JPEG of quality 90? The format rounds the change away: {said}."


def fool_answer_other(opinions: list[tuple[str, str, bool]]) -> str:
    """Answer of the chip about other networks; (network, what it says, fooled)."""
    if not opinions:
        return "No other network's weights are here; download one under “Other networks…”."
    said = "; ".join(f"{network} says {after}" for network, after, _ in opinions)
    return f"{sum(fooled for *_, fooled in opinions)} of {len(opinions)} fall for it: {said}."


CLOSER = "Look closer"
MATRIX = "Rows: what it is. Columns: what the head says. Press a number to see the photos."
MARKED, SET_ASIDE, MOVE_TO, MOVE = "Mark photos", "Set aside", "Another class", "Move there"
MARK_FIRST = "Mark at least one photo first."
CELL_HINT = "Press a number above to see the photos behind it."
NO_CELL = "There are no photos behind this cell any more; train again."
TRAIN_AGAIN = "Done. Train again to see what it changes."
LEAKY = "Photos of one burst are on both sides, for want of others: this figure flatters. Record a second burst of each class."
WRONG = "Most sure, and wrong"
NO_WRONG = "It was right about every held-out photo."
NO_PICTURE = "no picture in this set"
HEAD_NAME, NAME_IT = "Its name in the menu above", "Name it so"
GET_HEAD, GET_CARD = "Download the head", "Model card"
GET_ANYWHERE = "Take it anywhere (ONNX, zip)"
SAVE_PROJECT, GET_PROJECT = "Save the project", "Download the project"
BRING_HEAD, HEAD_FILE = "Use a head that you saved", "A head (.safetensors)"
BRING_NOTE = (
    "A head alone can be used and renamed, not trained further: that needs its photos. A project has both; "
    "open it under Photos, as a zip."
)


def home(title: str) -> str:
    """What became of the head."""
    return (
        f"“{title}” is in the menu above: Classify, the live camera, Ideal and Fool answer with it. "
        "Its file was opened again in a fresh process and gave the same answers."
    )


def checking(title: str) -> str:
    """While the head's file is proved."""
    return f"“{title}” is in the menu above. Its file is being opened in a fresh process, to prove it; a few seconds."


def brought(title: str) -> str:
    """A head of the visitor's own is in use."""
    return f"“{title}” is in the menu above, and all tabs answer with it."


def fool_half(who: str, levels: int | None, photos: int) -> str:
    """Where a head loses half of the photos."""
    if levels is None:
        return f"{who.capitalize()}: at least half of {photos} photos right up to 8 grey levels."
    return f"{who.capitalize()}: less than half of {photos} photos right at {levels} grey level{'s' * (levels != 1)}."


# Ideal
IDEAL = "Ideal"
IDEAL_LEAD = "From a random picture, paint what the network likes best."
IDEAL_CLASS, IDEAL_CLASS_INFO = "Paint an ideal", "Type to search what the head can name."
IDEAL_TV, IDEAL_STEPS = "Smoothness (total variation)", "Steps"
_WAVES_TV = "Takes the fine grain away, no more: the shapes come from the waves. 0 keeps the grain."
IDEAL_TV_INFO = {
    "sharp": _WAVES_TV,
    "agreed": _WAVES_TV,
    "lesson": "0 is noise; more makes smooth shapes; far too much leaves grey.",
}
_WAVES_STEPS = "More steps: bolder shapes and more of them."
IDEAL_STEPS_INFO = {
    "sharp": _WAVES_STEPS,
    "agreed": _WAVES_STEPS,
    "lesson": "More steps: surer, and with smoothness clearer shapes.",
}
_WAVES_RATE = "How far each step goes: more is bolder and rougher. 0: the method's own."
IDEAL_RATE = "Learning rate"
IDEAL_RATE_INFO = {
    "sharp": _WAVES_RATE,
    "agreed": _WAVES_RATE,
    "lesson": "How far each step goes: too little stays grey, too much is noise. 0: the method's own.",
}
IDEAL_METHOD = "Method"
IDEAL_METHODS = {
    "sharp": "sharp: waves, natural colours, seen moved and turned",
    "agreed": "agreed by two networks",
    "lesson": "as the lesson does it: pixels and plain descent",
}
IDEAL_SIZE, IDEAL_SIZE_INFO = "Size", "Pixels a side. Larger: more and finer things, and slower."
IDEAL_SEED, IDEAL_SEED_INFO = "Seed", "Another seed, another picture; the same seed, the same picture."
IDEAL_START, IDEAL_START_INFO = "Start from", "From your photo: make it more of this class."
IDEAL_STARTS = {"noise": "noise", "photo": "your photo"}
IDEAL_RUN, IDEAL_WHY = "Paint", "Show why"
IDEAL_CHIPS = {
    "zebra": "Ideal zebra", "smooth": "Without smoothness?", "cat": "Any cat", "mine": "My own class",
    "agreed": "What two networks agree on",
}  # fmt: skip
IDEAL_EMPTY = "Choose a class and press Paint: in a few seconds noise turns into what the network likes best."
IDEAL_STARTING = "Starting …"
IDEAL_ASKING = "Asking what the networks make of the saved file …"
IDEAL_CURVES = {"probability": "Probability", "loss": "Class loss", "tv": "Total variation"}
IDEAL_SCRUB, IDEAL_SCRUB_INFO = "The way there", "Drag to see an earlier step."
IDEAL_PNG, IDEAL_WEBP = "Download the PNG", "The way there (WebP)"
IDEAL_STRIP = "How far to trust it"
IDEAL_PLAIN = "the picture as it is"
IDEAL_ROBUST = "32 random crops and shifts, mean"
IDEAL_SAVED = "saved as PNG and opened again"
IDEAL_TOOK_PART = "took part"
IDEAL_NO_OTHERS = "No other network's weights are here; download one under “Other networks…” for a second opinion."
IDEAL_UNSURE = "The network that painted it is not sure itself: give it more steps, or less smoothness."
IDEAL_OTHER_CLASSES = "The other networks do not know this class; this is what they see instead."
IDEAL_GALLERY = "Your pictures"
IDEAL_GALLERY_INFO = "Press one to set its settings again; Paint then makes the same picture."
IDEAL_GONE = "That picture is not here any more."
IDEAL_TEACH_FIRST = (
    "Teach the network first: give it two things in Teach and train; then its head is in the menu above, "
    "and this paints what the head has learned. “cat or dog” in that menu is such a head."
)
IDEAL_WHY_ROWS = ("Pixels", "Waves")
IDEAL_WHY_COLUMNS = ("without smoothness", "with smoothness")
IDEAL_WHY_ANSWER = (
    "Same start, same network. Smoothness turns noise into shapes; waves that are looked at moved and turned make of the "
    "shapes a thing that other networks see too."
)
IDEAL_NO_CLASS = "Choose a class to paint."
IDEAL_NOTHING = "There was no time for a picture; ask for fewer steps or a smaller size."


def ideal_left(step: int, total: int, seconds: float) -> str:
    """How far a picture is."""
    return ideal_at(step, total) + (f", {seconds:.0f} s left" if step < total else "")


def ideal_at(step: int, total: int) -> str:
    """Which step a picture shows."""
    return f"Step {step} of {total}"


def ideal_caption(title: str, method: str, steps: int, tv: float, size: int, seed: int) -> str:
    """A picture's settings in a line."""
    return f"{title} · {method} · {steps} steps · smoothness {tv:g} · {size} px · seed {seed}"


def ideal_agree(title: str, networks: int) -> str:
    """No other network sees something else."""
    return (
        f"All {networks} other networks see {title} first." if networks > 1 else f"The other network sees {title} too."
    )


def ideal_disagree(title: str, said: list[str]) -> str:
    """Some other networks see something else."""
    return f"The networks disagree: {'; '.join(said)}. Part of this picture is this network's own habit, not {title}."


def ideal_rank(rank: int) -> str:
    """The place of the class among all."""
    ending = "th" if 10 < rank % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(rank % 10, "th")
    return "first" if rank == 1 else f"{rank}{ending}"


def ideal_set(title: str, backbone: str) -> str:
    """The controls were set to a picture's settings."""
    return f"The settings of this {title} are back; press Paint with {backbone} above to make it again."


def ideal_answer_smooth(share: str, neighbours: float) -> str:
    """Answer of the chip about smoothness."""
    return f"{share} sure, and nothing to see: neighbouring pixels differ by {255 * neighbours:.0f} of 255 on average."


def ideal_answer(title: str, share: str, robust: str) -> str:
    """Answer of the chips that paint a class."""
    return f"This is {title} to the network: {share} sure, {robust} when it is cropped and shifted."


def ideal_answer_mine(title: str, share: str) -> str:
    """Answer of the chip about a class of one's own."""
    return f"{share} {title} to the head. Is the thing there, or what stood around it? That is the shortcut it learned."


def ideal_answer_agreed(title: str, second: str, share: str) -> str:
    """Answer of the chip about two networks."""
    return f"Painted so that {second} agrees: {share} {title}. What both want, a third is likelier to see."


# Inside
INSIDE = "Inside"
INSIDE_NONE = "Give a photo, or press one of the examples: then you see which part of it made the decision."
INSIDE_CLASSES = "Explain which class"
INSIDE_TESTING = "Testing whether the map means something …"
INSIDE_HEAT = "Bright: this speaks for it. A dark margin, where there is one, the network did not see."
INSIDE_AGAINST, INSIDE_AGAINST_INFO = "Rather than", "What speaks for this class and not for that one."
INSIDE_ALL = "all others"
INSIDE_CHIPS = {"dog": "Why not a dog?", "lion": "Cat against lion", "fooled": "My fooled photo against the original"}
INSIDE_MAPS = "Early · middle · late"
INSIDE_MAPS_NOTE = (
    "The eight channels of each depth that stand out most, bright where they fire. Press one to see it large."
)
INSIDE_BESIDE = "A second photo beside it"
INSIDE_FIRST, INSIDE_SECOND = "your photo", "the second photo"
INSIDE_DEPTHS = {"early": "Early", "middle": "Middle", "late": "Late"}
INSIDE_SEES = {
    "early": "Edges, colours and fine grain: each place by itself, on any photo.",
    "middle": "Textures and simple shapes: fur, stripes, corners, curves.",
    "late": "Parts and whole things: an ear, a muzzle, a mane. The head reads only what comes out here.",
}
INSIDE_NOT_READ = (
    "The head does not read this layer: what its channels say is put together first by the layers behind it."
)
INSIDE_TAP = "Press a channel above first."
INSIDE_EXAMPLES = "Which of the examples fire it most"
INSIDE_FOLDER = "Which of your photos fire it most"
INSIDE_SEARCH, INSIDE_PAINT = "Search my folder", "Paint what it likes best"
INSIDE_NO_FOLDER = "Give a folder of photos in Teach first; then this finds those that fire the channel most."
INSIDE_CLOSER = "Look closer: layers, method, filters"
INSIDE_LAYER, INSIDE_LAYER_INFO = "Layer", "Where in the network the decision is explained."
INSIDE_BEST_LAYER, INSIDE_CHOSEN = "the one that points best", "you chose it"
INSIDE_METHOD, INSIDE_METHOD_INFO = (
    "Method",
    "Grad-CAM weighs whole channels; HiRes-CAM weighs each place, on finer maps.",
)
INSIDE_METHODS = {"grad-cam": "Grad-CAM", "hires-cam": "HiRes-CAM, finer"}
INSIDE_STAGES = "All stages"
INSIDE_TABLE = ("stage", "channels × height × width", "parameters")
INSIDE_FILTERS = "The filters of the first layer"
INSIDE_FILTERS_NOTE = (
    "What each first channel looks for, as small colour pictures: edges of every direction, blobs of colour."
)
INSIDE_STRIP = "The last maps as the lesson draws them"
INSIDE_READABLE = "The same numbers, the strongest eight channels, laid back over the photo: now they can be read."
INSIDE_MAP = "Features as a map of the folder"
INSIDE_SET, INSIDE_MINE = "Photos", "your photos in Teach"
INSIDE_POINT = "Point at or press a dot to see its photo."
INSIDE_GONE = "That class is not in this head any more; press one of the classes above."
INSIDE_NO_DOG = "This head has no dog and no cat to ask for; press one of the classes above."
INSIDE_NOT_FOOLED = (
    "The photo could not be fooled in the time of a chip; go to Fool, take more steps, then press this again."
)
INSIDE_FOOLING = "Fooling the photo first …"
INSIDE_NO_OTHER_SET = "Choose one of the sets of the list."


def inside_why(title: str, rival: str) -> str:
    """The question that the heat map answers."""
    return f"Why “{title}” and not “{rival}”?" if rival else f"Why “{title}”?"


def inside_hidden(title: str, shares: tuple[float, float, float], holds: bool) -> str:
    """The test that the map means something; the probability as it is, with the hottest and with a random fifth hidden."""
    before, hot, random = (f"{100 * share:.0f} %" if share >= 0.01 else f"{100 * share:.1f} %" for share in shares)
    end = "the map points at what counts" if holds else "here the map says little, other parts count as much"
    return f"Hide the brightest fifth and {title} goes from {before} to {hot}; hide a random fifth, to {random}: {end}."


def inside_empty(title: str) -> str:
    """Nothing speaks for a class."""
    return f"The map is empty: every place of this photo speaks against {title}."


def inside_layer(layer: str, reason: str) -> str:
    """Where the map was made, and why there."""
    return f"Explained at “{layer}”: {reason}."


def inside_channel(channel: int) -> str:
    """A channel's name."""
    return f"channel {channel}"


def inside_enlarge(layer: str, channel: int, photo: str) -> str:
    """What a small map does when it is pressed, for a screen reader."""
    return f"{layer}, channel {channel} on {photo}: enlarge"


def inside_one(layer: str, channel: int) -> str:
    """The heading of one channel."""
    return f"Channel {channel} of “{layer}”"


def inside_peak(photo: str, peak: float) -> str:
    """Where and how strongly a channel fires."""
    return f"Where it fires in {photo}, {peak:.1f} at its peak"


def inside_speaks(names: list[str]) -> str:
    """Which classes a channel of the last layer speaks for."""
    return (
        f"It speaks for: {', '.join(names)}." if names else "It speaks for no class: whatever it sees lowers them all."
    )


def inside_likes(step: int, total: int) -> str:
    """The picture that a channel likes best, and how far it is."""
    return "What it likes best" if step >= total else f"What it likes best, step {step} of {total}"


def inside_searching(step: int, total: int) -> str:
    """How far the search of a folder is."""
    return f"Photo {step} of {total}"


def inside_strip(channels: int, places: int) -> str:
    """What the lesson's strip is."""
    return f"{channels:,} channels across, {places} places down, one picture. Nobody can read it."


def inside_variance(photos: int, classes: int, network: str, share: float) -> str:
    """What the map of a folder shows, and how much of the truth."""
    return (
        f"{photos:,} photos, {classes} classes, each a dot: its {network} features seen from their two widest sides (PCA), "
        f"which hold {100 * share:.0f} % of all differences."
    )


def inside_linear(share: float, chance: float) -> str:
    """Why a linear head can work on these features, or why it cannot."""
    found = f"For {100 * share:.0f} % of the photos the most similar one is of the same class (by chance {100 * chance:.0f} %)"
    if share >= 0.9:
        return f"{found}: the frozen network has brought each class together, so a straight cut, a linear head, parts them."
    if share >= chance + (1 - chance) / 2:
        return f"{found}: the classes are mostly together, so a linear head parts most of them, and the mixed ones stay mixed."
    return (
        f"{found}: these pictures are unlike what the network has learned to see. Its features do not bring the classes "
        "together, and no straight cut can part what lies mixed."
    )


def inside_dot(label: str, name: str) -> str:
    """A dot of the map: its class, and its photo's name."""
    return f"{label}: {name}" if name else label


def inside_answer_not(name: str, share: str, empty: bool, likely: bool) -> str:
    """Answer of the chip that asks for the other pet."""
    if empty:
        return f"Because nothing on this photo speaks for {name}: {share}, and the map is empty."
    if likely:
        return f"But it is: {name} has {share}. What speaks for it is bright in the map."
    return f"Because too little speaks for {name}: {share}. The little that does is bright in the map."


def inside_answer_two(same: dict[str, int], of: int) -> str:
    """How many channels are among the strongest of both photos, by depth."""
    parts = ", ".join(f"{count} {depth}" for depth, count in same.items())
    return f"Of the {of} strongest channels of each depth both have in common: {parts}."


def inside_became(before: str, after: str) -> str:
    """What the fooled photo is taken for."""
    return f"{before} became {after}."


# Teach: how much came from transfer
TRANSFER = "How much came from transfer?"
TRANSFER_ROWS = {
    "chance": ("Guessing", "always the most frequent class"),
    "pixels": ("Raw pixels", "a head on 16 × 16 pixels, no network"),
    "random": ("Random weights", "the same network before it learned anything"),
    "mean": ("Nearest class mean", "the network's features, nothing trained"),
    "head": ("The trained head", "on the network's features"),
}
TRANSFER_CURVE = "Accuracy against photos a class"
TRANSFER_BAND = "Line: mean of five draws of photos. Band: from the worst to the best draw."
TRANSFER_NO_PICTURES = (
    "This set has features only. What raw pixels or a network with random weights would reach takes pictures; "
    "give photos to see it."
)
TRANSFER_STEP = "Comparing with what needs no transfer …"
TRANSFER_TIME = "There was no time for all of it."


def transfer_few(trained: int, judged: int) -> str:
    """What the network with random weights looked at, where that is a part of the photos."""
    return f"Random weights: for speed trained on {trained} and judged on {judged} of the photos; so its interval is wider."


def transfer_point(each: int, share: str) -> str:
    """A point of the curve, for a screen reader."""
    return f"{each} photo{'' if each == 1 else 's'} a class {share}"


# the classroom
CLASS_NAME, CLASS_PASSWORD = "Name", "Password"
CLASS_NOTE = (
    "Photos go to the teacher's computer and are deleted there an hour after use. "
    "One long job at a time, 15 seconds each; the page says your place in the line."
)


def classroom_terminal(address: str, name: str, password: str, mine: str) -> str:
    """What the teacher reads beside the QR code."""
    return (
        f"The class opens   {address}\n{CLASS_NAME}: {name}   {CLASS_PASSWORD}: {password}\nFor the projector: {mine}"
    )


# Teach, fine-tuning

TUNE = "Experiment: fine-tune the last stage"
TUNE_RUN = "Fine-tune the last stage"
TUNE_NOTE = (
    "So far the network was frozen and only the head has learned. Here the network's last stage learns too, at a tenth of the "
    "head's rate. That helps most where your pictures are unlike the photos that the network grew up with; it is kept only "
    "if the loss on the held-out photos falls and not fewer of them are right."
)
TUNE_EPOCHS = "How often each photo is looked at. It takes much longer than training the head."
TUNE_FIRST = "Train a head first; then its network can be fine-tuned."
TUNE_MAPS = "What is frozen looks at each photo once"
TUNE_TIME = "The time was up before the first epoch had ended; start the program with --local, or use fewer photos."


def tune_epoch(epoch: int, epochs: int, loss: float) -> str:
    """How far fine-tuning is."""
    return f"Epoch {epoch} of {epochs}: held-out loss {loss:.2f}"


# Teach: how far to trust it
STRANGE, HONEST = "Not one of yours", "Are its probabilities honest?"


def strange(false_alarm: float) -> str:
    """What the head does with photos of something else, and what that costs."""
    return (
        "It answers “not one of yours” to a photo that is unlike all that it learned from. The line is drawn so that about "
        f"{100 * false_alarm:.0f} in 100 photos of your own classes get this answer too."
    )


def alarms(count: int, photos: int) -> str:
    """The price, as it was measured."""
    return f"Of the {photos:,} held-out photos it was {count:,}."


def honest_already(before: str) -> str:
    """A head that needs no temperature."""
    return (
        f"When it says 90 %, it should be right 9 times in 10. It is off by {before} on average, on photos that it had not "
        "seen; no correction would change that beyond chance, so none is made."
    )


def honest_now(before: str, after: str, temperature: float) -> str:
    """A head whose probabilities a temperature has corrected."""
    kind = "too sure" if temperature > 1 else "not sure enough"
    return (
        f"When it says 90 %, it should be right 9 times in 10. It was {kind}: off by {before} on average, on photos that it "
        f"had not seen. With its scores divided by {temperature:.2f} (its temperature) it is off by {after}; the order of "
        "the classes stays as it was."
    )


# Teach: experiments and all networks
EXPERIMENT = "Experiment"
EXPERIMENT_LEAD = (
    "What if one thing were done otherwise? The same photos train and the same photos judge, so that only what changed can "
    "make a difference. Often it makes none."
)
EXPERIMENT_CHOOSE, EXPERIMENT_RUN = "What to do otherwise", "Run"
EXPERIMENT_TABLE = ("what changed", "accuracy (95 % interval)", "difference", "verdict")
EXPERIMENT_FIRST = "Train first: an experiment is compared with the last run."
EXPERIMENT_NONE = "Choose at least one experiment."
NETWORKS = "All networks at once"
NETWORKS_LEAD = (
    "Every network whose weights are here looks at your photos once and gets a head: same photos, same split."
)
NETWORKS_RUN, NETWORKS_PLOT = "Train all", "Held-out accuracy"
NETWORKS_TABLE = ("network", "accuracy (95 % interval)", "time", "size")
NETWORKS_PICK, NETWORKS_USE = "Go on with", "Use this network"
NETWORKS_FIRST = "Train all networks first, then choose one of them."
NETWORKS_ONE = "A ready set holds what one network saw; give photos to compare networks."


def experiment_run(number: int) -> str:
    """The run that experiments are compared with."""
    return f"Run {number}, as it was"


def experiment_at(title: str, step: int, total: int) -> str:
    """How far an experiment is."""
    return f"{title}: {step} of {total}"


def against_before(says: str) -> str:
    """The last run beside the one before it."""
    return f"Against the run before: {says}"
