"""Tiny clips in folders, for readers and for what is made of them."""

from pathlib import Path

from tests.footage.films import Film, make

SHORT = Film(count=6, height=32, width=48)


def put_clip(path: Path, seed: int, film: Film = SHORT) -> Path:
    """A clip that differs from every other by its seed; its container is that of `film`, its name any."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = make(path.parent / f"being-made{film.suffix}", film.but(seed=seed))
    made.rename(path)
    return path


def put_clips(folder: Path, names: list[str], first_seed: int = 0) -> Path:
    """Clips of these names below a folder, `.avi` ones as AVI."""
    for seed, name in enumerate(names, start=first_seed):
        is_avi = name.lower().endswith(".avi")
        put_clip(folder / name, seed, SHORT.but(suffix=".avi", codec="mpeg4") if is_avi else SHORT)
    return folder
