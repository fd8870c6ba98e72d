"""Make what ships in weights/ from a folder of data, and print the table of weights/README.md from the files.

python benchmarks/heads.py ../shared/data     make the heads (with the project's own command) and the ready sets
python benchmarks/heads.py                    print the table of those that are there
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
HEADS, SETS = ROOT / "weights" / "heads", ROOT / "weights" / "sets"
COMMANDS = {  # head -> folder of the data, and the rest of the command
    "cats_dogs": ("cats_dogs/train", ["--test", "cats_dogs/test", "--folds", "5"]),
    "pets37": ("pets37", ["--folds", "5"]),
}


def make(data: Path) -> None:
    """Train the heads and embed the sets."""
    HEADS.mkdir(parents=True, exist_ok=True)
    SETS.mkdir(parents=True, exist_ok=True)
    for name, (folder, rest) in COMMANDS.items():
        options = [str(data / part) if part == "cats_dogs/test" else part for part in rest]
        out = HEADS / f"{name}.safetensors"
        command = [sys.executable, "-m", "transferdemo", "train", str(data / folder), "--out", str(out), *options]
        subprocess.run(command, cwd=ROOT, check=True)
        (SETS / f"{name}.safetensors").write_bytes(as_features(data / folder))


def as_features(folder: Path) -> bytes:
    """A folder as a ready set's file, by the default network."""
    from transferdemo.backbones import load_backbone
    from transferdemo.data.archive import read_set
    from transferdemo.data.records import LOCAL
    from transferdemo.engine.features import CollectDone, collect
    from transferdemo.engine.ready import encode_set

    events = collect(read_set(folder, LOCAL), load_backbone(), "auto", LOCAL)
    done = next(event for event in events if isinstance(event, CollectDone))
    return encode_set(done.embedded)


def trusted(head: Any) -> list[str]:
    """A head's temperature, its calibration error with intervals, and what it does with photos like its own."""
    found, strange = head.facts["calibration"], head.facts.get("strange", {}).get("of_test")
    errors = [found[side] for side in ("before", "after")]
    shown = [f"{e['error']:.1%} ({e['interval'][0]:.1%} to {e['interval'][1]:.1%})" for e in errors]
    promised = f"{head.novelty.false_alarm:.0%} of photos like its own, by design"
    counted = f"; {strange['accuracy']:.1%} of {strange['photos']} test photos" if strange else ""
    return [f"{head.temperature:.2f}", ", ".join(shown), promised + counted]


def table() -> None:
    """Print the rows that weights/README.md shows."""
    sys.path.insert(0, str(ROOT))
    from transferdemo.engine.ready import read_set_features
    from transferdemo.head_file import read_head

    print("| head | classes | trained on | judged by | accuracy | 95 % interval |")
    print("| --- | --- | --- | --- | --- | --- |")
    for path in sorted(HEADS.glob("*.safetensors")):
        head = read_head(path)
        for key, judge in (("test", "test photos"), ("folds", "5 folds")):
            measured = head.facts.get(key)
            if isinstance(measured, dict):
                low, high = measured["interval"]
                print(
                    f"| `{path.name}` | {len(head.classes)} | {head.facts['trained_on']:,} | "
                    f"{measured['photos']:,} photos, {judge} | {measured['accuracy']:.1%} | {low:.1%} to {high:.1%} |"
                )
    print()
    print("| head | temperature | calibration error, without and with it | takes for strange |")
    print("| --- | --- | --- | --- |")
    for path in sorted(HEADS.glob("*.safetensors")):
        print(f"| `{path.name}` | {' | '.join(trusted(read_head(path)))} |")
    print()
    print("| set | classes | photos | MB |")
    print("| --- | --- | --- | --- |")
    for path in sorted(SETS.glob("*.safetensors")):
        ready = read_set_features(path)
        size = path.stat().st_size / 1e6
        print(f"| `{path.name}` | {len(ready.folder.classes)} | {len(ready.folder.used):,} | {size:.1f} |")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    if len(sys.argv) > 1:
        make(Path(sys.argv[1]).resolve())
    table()
