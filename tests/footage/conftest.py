"""Films that footage tests share, each encoded once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.footage.films import Film, make

FilmPath = Callable[[Film], Path]


@pytest.fixture(scope="session")
def film_path(tmp_path_factory: pytest.TempPathFactory) -> FilmPath:
    """Path of a film, encoded when first asked for."""
    folder, made = tmp_path_factory.mktemp("films"), dict[Film, Path]()

    def path(film: Film) -> Path:
        if film not in made:
            made[film] = make(folder / f"{len(made)}{film.suffix}", film)
        return made[film]

    return path
