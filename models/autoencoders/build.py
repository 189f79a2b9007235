"""From settings to a network."""

from models.autoencoders.base import CuboidNetwork
from models.autoencoders.chong_tay import ChongTay
from models.autoencoders.hasan import Hasan
from models.autoencoders.istl import Istl
from models.autoencoders.settings import AutoencoderSettings, ChongTaySettings, HasanSettings, IstlSettings


def build_autoencoder(settings: AutoencoderSettings) -> CuboidNetwork:
    """The network of `settings`, its weights drawn from torch's global generator."""
    match settings:
        case HasanSettings():
            return Hasan(settings)
        case ChongTaySettings():
            return ChongTay(settings)
        case IstlSettings():
            return Istl(settings)
