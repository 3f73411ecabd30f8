"""An exported policy as a repository of the Hugging Face hub."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from bench.core.errors import BenchError

_REPO = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
_MEGABYTE = 1e6


@dataclass(frozen=True)
class Repository:
    """Where a policy goes: ``org/name``, and whether everybody may read a repository that is made for it."""

    name: str
    public: bool = False

    def __post_init__(self) -> None:
        if not _REPO.fullmatch(self.name):
            raise BenchError(f"'{self.name}' is no repository of the hub. Write org/name.")


def push_lines(folder: Path, repository: Repository) -> list[str]:
    """Return what a push of a folder would send, a line per file, largest first."""
    sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    whole = sum(sizes.values()) / _MEGABYTE
    seen = "public" if repository.public else "private"
    first = f"{len(sizes)} files, {whole:,.1f} MB, to {repository.name} ({seen}, if it is made by this push)"
    ordered = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))
    return [first, *(f"  {name}  {size / _MEGABYTE:,.3f} MB" for name, size in ordered)]


def push(folder: Path, repository: Repository, message: str) -> str:
    """Return the address of the commit that sends a folder to a repository, which is made where there is none.

    Files of the repository that the folder lacks stay. Raises BenchError where the hub refuses, or is not reached.
    """
    from huggingface_hub import HfApi  # noqa: PLC0415 - heavy
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled  # noqa: PLC0415

    hub = HfApi()
    try:
        hub.create_repo(repository.name, private=not repository.public, exist_ok=True)
        return str(hub.upload_folder(repo_id=repository.name, folder_path=folder, commit_message=message))
    except LocalTokenNotFoundError as error:
        raise BenchError(
            f"no token of the hub is known, so nothing can be sent to {repository.name}. Run `hf auth login`, or set "
            "HF_TOKEN; then the same command goes on."
        ) from error
    except OfflineModeIsEnabled as error:
        raise BenchError(
            "HF_HUB_OFFLINE is set, so nothing can be sent. Unset it; the same command goes on."
        ) from error
    except (HfHubHTTPError, OSError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise BenchError(
            f"the hub did not take {repository.name}: {reason}. Its token must be allowed to write there (`hf auth "
            "whoami`); the same command tries again."
        ) from error
