"""A policy is sent to the hub: what would be sent, what is sent, and what is said when it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi, ModelCard
from huggingface_hub.errors import LocalTokenNotFoundError

from tests.cli.test_cli import bench_sketched
from tests.once import take_stages
from tests.whole import write_whole


@pytest.fixture(scope="module")
def ran(computed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pushing")
    folder = write_whole(root)
    take_stages(computed, root)
    assert bench_sketched("run", folder, "--engine", "inline").returncode == 0
    return folder


def test_a_dry_run_says_what_would_be_sent_and_sends_nothing(ran: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HfApi, "create_repo", refused)
    done = bench_sketched("export", ran, "dpo", "--push", "org/tiny-dpo", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "to org/tiny-dpo (private, if it is made by this push)" in done.stdout
    assert "model.safetensors" in done.stdout
    assert "README.md" in done.stdout
    assert "nothing was sent" in done.stdout


def test_what_is_sent_is_the_exported_folder_with_its_card(
    ran: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: dict[str, Any] = {}

    def upload(_hub: HfApi, **given: Any) -> str:
        calls["upload"] = given
        calls["names"] = {path.name for path in Path(given["folder_path"]).iterdir()}
        calls["card"] = ModelCard.load(Path(given["folder_path"]) / "README.md")
        return "https://hub/org/tiny-dpo/commit/1"

    def create(_hub: HfApi, name: str, **given: Any) -> None:
        calls["create"] = (name, given)

    monkeypatch.setattr(HfApi, "create_repo", create)
    monkeypatch.setattr(HfApi, "upload_folder", upload)
    done = bench_sketched("export", ran, "dpo", "--push", "org/tiny-dpo", "--public", "--to", tmp_path / "kept")
    assert done.returncode == 0, done.stderr
    assert calls["create"] == ("org/tiny-dpo", {"private": False, "exist_ok": True})
    assert {"config.json", "model.safetensors", "README.md", "tokenizer.json"} <= calls["names"]
    assert calls["upload"]["repo_id"] == "org/tiny-dpo"
    assert "dpo" in str(calls["card"])
    assert "sent: https://hub/org/tiny-dpo/commit/1" in done.stdout
    assert (tmp_path / "kept" / "model.safetensors").is_file()


def refused(*_: Any, **__: Any) -> None:
    raise LocalTokenNotFoundError("no token")


def test_without_a_token_it_says_how_to_have_one(ran: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HfApi, "create_repo", refused)
    done = bench_sketched("export", ran, "dpo", "--push", "org/tiny-dpo")
    assert done.returncode == 2
    assert "hf auth login" in done.stderr
    assert "Traceback" not in done.stderr


def test_offline_is_said(ran: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    done = bench_sketched("export", ran, "dpo", "--push", "org/tiny-dpo")
    assert done.returncode == 2
    assert len(done.stderr.strip().split("\n")) <= 3, done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--push", "org/x"), "belong to a policy"),
        (("dpo", "--push", "noslash"), "is no repository of the hub. Write org/name"),
        (("dpo", "--dry-run", "--to", "x"), "belong to --push"),
        (("dpo", "--public"), "belong to --push"),
        (("dpo",), "--to FOLDER, or --push ORG/NAME"),
    ],
)
def test_options_that_do_not_belong_together(ran: Path, arguments: tuple[str, ...], said: str) -> None:
    done = bench_sketched("export", ran, *arguments)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())
