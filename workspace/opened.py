"""A workspace opened for work: its settings, its lake, its weights and its encoders' identities."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from zoneinfo import ZoneInfo

from footage.recordings import PathPattern
from footage.regions import WHOLE, Region
from infra.access import Actor, acting
from infra.errors import UnknownNameError
from infra.settings import EncoderTable
from infra.site import Site
from infra.weights import WeightsFile, read_weights
from lake.guard import Guard, GuardedLedger, GuardedRegistry, GuardedStore
from lake.ledger import Ledger
from lake.registry import Registry
from lake.store import Store
from models.encoders.base import EncoderSpec
from models.encoders.lookup import find_weights
from models.encoders.specs import describe
from workspace.regions import SaidRegion, region_versions, regions_now


@dataclass(frozen=True)
class PlannedEncoder:
    """An encoder of the settings, described but not loaded."""

    table: EncoderTable
    spec: EncoderSpec
    weights: WeightsFile | None

    @property
    def stride_s(self) -> float:
        """Seconds from one snippet to the next; 0 for a frame encoder."""
        return self.table.stride_s or self.spec.snippet_s


def audit_head(site: Site) -> Path:
    """The file that keeps the hash of the last row of the audit that was written from this machine."""
    return site.state_folder / "audit-head"


class Workspace:
    """A site and its lake.

    What is written asks first whether the role of who acts at that moment allows it: a workspace may be kept and shared.

    Args:
        root: folder with `afterwatch.toml`.
        actor: who acts; None: whoever `infra.access.acting` names each time, on the command line the system's user.

    Raises:
        ConfigurationError: there is none, its settings are wrong, or it names an encoder nobody knows.
    """

    def __init__(self, root: Path | str, actor: Actor | None = None) -> None:
        self.site = Site.open(Path(root))
        self.settings = self.site.settings
        location, options = self.site.lake_location, self.settings.lake_options
        files = Store(location, options)
        self.guard = Guard(Ledger(files), acting if actor is None else lambda: actor, audit_head(self.site))
        self.store: Store = GuardedStore(location, options, self.guard)
        self.ledger: Ledger = GuardedLedger(files, self.guard)
        self.registry: Registry = GuardedRegistry(self.site.models_folder, self.guard)

    @cached_property
    def pattern(self) -> PathPattern:
        return PathPattern(self.settings.footage.pattern, ZoneInfo(self.settings.footage.start_time_zone))

    @property
    def weights(self) -> Mapping[str, WeightsFile]:
        """The files that serve, by encoder."""
        return read_weights(self.site.weights_folder)

    @cached_property
    def encoders(self) -> tuple[PlannedEncoder, ...]:
        known = self.weights
        planned = []
        for table in self.settings.encoders:
            weights = find_weights(known, table.name)
            spec = describe(table.name, weights)
            if weights is None and spec.name in known:
                weights = known[spec.name]
                spec = describe(spec.name, weights)
            planned.append(PlannedEncoder(table, spec, weights))
        return tuple(planned)

    def encoder(self, name: str) -> PlannedEncoder:
        for encoder in self.encoders:
            if encoder.table.name == name:
                return encoder
        raise UnknownNameError("encoder among [[encoders]]", name, (encoder.table.name for encoder in self.encoders))

    @cached_property
    def _regions(self) -> list[SaidRegion]:
        return regions_now(self.ledger)

    def regions(self, camera: str) -> tuple[Region, ...]:
        """The camera's regions, the whole picture first."""
        mine = (said.region for said in self._regions if said.camera == camera)
        return (WHOLE, *(region for region in mine if region is not None))

    def drawn_on(self, camera: str) -> tuple[datetime, ...]:
        """True times, rising, of the pictures that the camera's present regions are or were drawn on.

        Earlier drawings of a region count as well: they tell where the camera looked then.
        """
        names = {said.name for said in self._regions if said.camera == camera}
        versions = region_versions(self.ledger, camera) if names else []
        return tuple(sorted({said.drawn_on for said in versions if said.name in names and said.drawn_on is not None}))
