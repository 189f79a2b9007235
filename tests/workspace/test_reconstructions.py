"""What an autoencoder makes of a moment, beside the vector that the night would keep of it."""

import numpy as np
import pytest

from afterwatch.workspace_files import make_workspace
from footage.decode import decode
from footage.probe import probe
from footage.regions import WHOLE, Region
from footage.sampling import snippets
from infra.errors import FootageError
from infra.settings import SETTINGS_FILE
from models.encoders.build import build
from tests.dashboards.small_site import write_video
from workspace.indexes import save_index
from workspace.moments import Source
from workspace.opened import PlannedEncoder, Workspace
from workspace.reconstructions import reconstructed, reconstructs

NAME = "autoencoder/hasan/random"
HATCH = Region("hatch", ((0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75)))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    root = make_workspace(tmp_path_factory.mktemp("reconstructions") / "site")
    settings = root / SETTINGS_FILE
    settings.write_text(settings.read_text(encoding="utf-8") + f'\n[[encoders]]\nname = "{NAME}"\n', encoding="utf-8")
    return Workspace(root)


@pytest.fixture(scope="module")
def source(site: Workspace) -> Source:
    path = site.site.footage_root / "one.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, 4.0, "one")
    save_index(site.store, "one", probe(path).index)
    return Source("one", path, "one.mp4")


@pytest.fixture(scope="module")
def planned(site: Workspace) -> PlannedEncoder:
    return site.encoder(NAME)


@pytest.mark.parametrize("region", [WHOLE, HATCH])
def test_it_is_the_snippet_that_the_night_embeds(
    site: Workspace, source: Source, planned: PlannedEncoder, region: Region
) -> None:
    spec, index = planned.spec, probe(source.path).index
    runs = snippets(index, frames=spec.snippet_frames, rate_hz=spec.snippet_rate_hz or 0, stride_s=planned.stride_s)
    number = 1
    middle_us = int(runs.from_us[number] + runs.to_us[number]) // 2
    made = reconstructed(site, planned, source, middle_us, region)
    views = {one.index: one.view(region, spec.input_size) for one in decode(source.path, index, runs.frames[number])}
    pixels = np.stack([views[int(frame)] for frame in runs.frames[number]])
    vector = build(spec, device="cpu", precision="fp32").encode(pixels[None])[0]
    assert made.score == pytest.approx(float(np.linalg.norm(vector)), rel=1e-4)
    assert runs.from_us[number] <= made.t_us < runs.to_us[number]
    assert made.original.shape == made.reconstruction.shape == made.error.shape == spec.input_size
    apart = np.abs(made.original.astype(int) - made.reconstruction.astype(int))
    assert np.abs(apart - made.error).max() <= 1, "each is rounded by itself"


def test_a_moment_without_a_snippet_is_told(site: Workspace, source: Source, planned: PlannedEncoder) -> None:
    with pytest.raises(FootageError, match=r"one\.mp4: no snippet shows 90\.0 s"):
        reconstructed(site, planned, source, 90_000_000, WHOLE)


def test_only_autoencoders_reconstruct(site: Workspace, planned: PlannedEncoder) -> None:
    assert reconstructs(planned)
    assert not reconstructs(site.encoder("handcrafted/motion"))
