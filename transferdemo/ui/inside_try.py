"""The questions of Inside's *Try this*: another class, another photo, the fooled photo. No Gradio components here."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from ..engine.channels import A_STAGE, strongest
from ..engine.stages import depths
from ..errors import BadSetting
from ..heads import find_classes, groups, load_classifier
from ..images import encode_png, open_photo
from ..types import Image8, Photo, View
from . import bridge, texts
from . import fool_trial as trials
from .fool_trial import Trial, Wish
from .inside_look import Asked, Seen, see

STEPS = 60  # gradients for the photo that is fooled on the way


def example(path: str) -> Photo:
    """An example as a photo."""
    return open_photo(Path(path))


def other_pet(given: Photo, view: View) -> str:
    """A dog to ask for; a cat where the photo is a dog already. Raises BadSetting where the head has neither."""
    head = load_classifier(view).head
    known = groups(head) or {name: find_classes(head, name) for name in head.classes if name.lower() in ("cat", "dog")}
    names = {name.lower().removeprefix("any "): name for name in known}
    if not names:
        raise BadSetting(texts.INSIDE_NO_DOG)
    best = see(given, view, Asked()).inside.best[0]
    is_dog = "dog" in names and best in known[names["dog"]]
    wanted = names.get("cat" if is_dog else "dog")
    return wanted or next(iter(names.values()))


def answer_not(seen: Seen) -> str:
    """Why it is not the other pet."""
    share = seen.inside.cam.probability
    words = f"{100 * share:.1f} %" if share >= 0.0005 else "less than 0.1 %"
    return texts.inside_answer_not(seen.title, words, seen.inside.cam.empty, share > 0.5)


def shared_channels(one: Seen, other: Seen) -> dict[str, int]:
    """How many of the strongest channels two photos have in common, by depth."""
    return {
        depth: len(set(strongest(one.inside.maps[i])) & set(strongest(other.inside.maps[i])))
        for depth, i in depths(one.inside.stages).items()
    }


def answer_two(one: Seen, other: Seen) -> str:
    """Where two photos part."""
    return texts.inside_answer_two(shared_channels(one, other), A_STAGE)


def answer_fooled(clean: Seen, changed: Seen) -> str:
    """Where a photo and its fooled twin part."""
    return f"{texts.inside_became(clean.title, changed.title)} {answer_two(clean, changed)}"


def fooled(
    given: Photo, view: View, trial: Trial | None, visitor: str, seconds: float
) -> Iterator[str | tuple[Photo, Photo]]:
    """The photo and its fooled twin: of the last attempt in Fool, or of one that is made now. Raises BadSetting."""
    if trial is None or trial.result is None or not trial.result.fooled or trial.view is not view:
        yield texts.INSIDE_FOOLING
        classifier, begun = trials.start(given, view, Wish(trials.preset(given, view), STEPS))
        trial = begun
        for event in bridge.in_turn(bridge.Job(trials.steps, (classifier, begun), STEPS), str, visitor, seconds):
            if isinstance(event, str):
                yield event
            else:
                trial = event
        trial = trials.judged(trial)
    if trial.result is None or not trial.result.fooled:
        raise BadSetting(texts.INSIDE_NOT_FOOLED)
    yield _photo(trial.clean, "original.png"), _photo(trial.result.image8, "fooled.png")


def _photo(image8: Image8, name: str) -> Photo:
    """A picture as a photo whose digest is that of its PNG file."""
    return Photo(image8, sha256(encode_png(image8)).hexdigest(), name)
