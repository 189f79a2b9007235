"""Weights from the libraries' hubs: the local cache first, then one quick question to the network, then a download.

Left alone, the hub clients ask again and again for the better part of a minute where there is no network. Here an
unreachable hub is an error within seconds, which names the file and the command that brings it by hand.
"""

from pathlib import Path
from typing import Literal
from urllib.error import HTTPError, URLError
from urllib.parse import urlparse
from urllib.request import Request, urlopen

import huggingface_hub
import torch
from huggingface_hub import constants

from infra.errors import WeightsError
from models.encoders.weights import remedy

PATIENCE_S = 5.0
Answer = Literal["there", "absent", "unreachable"]


def repository_file(encoder: str, repository: str, filenames: tuple[str, ...]) -> Path:
    """The first of `filenames` that a Hugging Face repository has, from the cache or downloaded.

    Args:
        encoder: name of the encoder, for the message.
        repository: `owner/name`, or `owner/name@revision`.
        filenames: names to try, best first.

    Raises:
        WeightsError: no name is cached, and the hub is switched off, cannot be reached, or has none of them.
    """
    name, _, revision = repository.partition("@")
    for filename in filenames:
        cached = huggingface_hub.try_to_load_from_cache(name, filename, revision=revision or None)
        if isinstance(cached, str):
            return Path(cached)
    wanted = f"{repository} ({' or '.join(filenames)})"
    if constants.HF_HUB_OFFLINE:
        raise _absent(encoder, wanted, "the hub is switched off (HF_HUB_OFFLINE)")
    for filename in filenames:
        match ask(huggingface_hub.hf_hub_url(name, filename, revision=revision or None)):
            case "unreachable":
                raise _absent(encoder, wanted, "the hub cannot be reached")
            case "there":
                try:
                    return Path(huggingface_hub.hf_hub_download(name, filename, revision=revision or None))
                # The client raises its own, requests', httpx's and the operating system's errors.
                except Exception as error:
                    raise _absent(encoder, wanted, f"the download failed ({error})") from error
            case "absent":
                continue
    raise _absent(encoder, wanted, "the hub has no such file, or wants a sign-in")


def address_file(encoder: str, address: str) -> Path:
    """The file at a URL, from torch's hub cache or downloaded into it; its name's hash is checked where it has one.

    Raises:
        WeightsError: the file is not cached, and cannot be reached or downloaded.
    """
    filename = Path(urlparse(address).path).name
    path = Path(torch.hub.get_dir()) / "checkpoints" / filename
    if path.is_file():
        return path
    if ask(address) != "there":
        raise _absent(encoder, address, "that address cannot be reached")
    path.parent.mkdir(parents=True, exist_ok=True)
    in_name = torch.hub.HASH_REGEX.search(filename)
    try:
        torch.hub.download_url_to_file(address, str(path), in_name.group(1) if in_name else None, progress=False)
    except (OSError, RuntimeError) as error:
        raise _absent(encoder, address, f"the download failed ({error})") from error
    return path


def ask(address: str) -> Answer:
    """Ask once, with a short patience, whether there is a file at `address`."""
    try:
        with urlopen(Request(address, method="HEAD"), timeout=PATIENCE_S):
            return "there"
    except HTTPError as error:
        return "absent" if error.code in (401, 403, 404) else "unreachable"
    except (URLError, OSError):
        return "unreachable"


def _absent(encoder: str, wanted: str, why: str) -> WeightsError:
    return WeightsError(
        f"{encoder}: weights {wanted} are neither in the workspace nor in the hub's local cache, and {why}; "
        f"fetch that file where there is a network, then {remedy(encoder)}"
    )
