"""How infra's property tests are run."""

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)  # machines differ, and are shared
settings.load_profile("unhurried")
