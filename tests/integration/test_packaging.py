"""What is built holds what a user needs, under one version everywhere; it starts without bytecode caches."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from mcp_background_job import __version__
from mcp_background_job.config import BackgroundJobConfig
from support.readme import TOP
from support.sandbox import Sandbox, run_job

MANIFEST = TOP / ".mcpb/manifest.json"
CONFIGURATION = json.loads(MANIFEST.read_text(encoding="utf-8"))
BUILD_TIMEOUT = 280  # seconds, for a machine that has to fetch the build backend first


def build(folder: Path) -> Path:
    """Wheel and sdist of this clone; skips where the build backend can't be had."""
    try:
        done = subprocess.run(
            ["uv", "build", "-q", "--out-dir", str(folder), str(TOP)],
            capture_output=True,
            text=True,
            timeout=BUILD_TIMEOUT,
        )
    except FileNotFoundError:
        pytest.skip("uv is not here")
    if done.returncode != 0 and ("hatchling" in done.stderr and "fetch" in done.stderr.lower()):
        pytest.skip(f"the build backend can't be had here: {done.stderr.strip()[-200:]}")
    assert done.returncode == 0, done.stderr
    return folder


def package_files() -> set[str]:
    """All that the package is made of: its code, and what that reads."""
    found = (path for path in (TOP / "src").rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path.relative_to(TOP).as_posix() for path in found}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("dist"))


def test_the_wheel_holds_tmux_conf_and_the_typing_marker_and_no_tests(built: Path) -> None:
    [wheel] = built.glob("*.whl")
    assert wheel.name.startswith(f"mcp_background_job-{__version__}-py3-none-any")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        assert archive.read("mcp_background_job/tmux.conf") == (TOP / "tmux.conf").read_bytes()
        [metadata] = [name for name in names if name.endswith("/METADATA")]
        assert f"\nVersion: {__version__}\n" in archive.read(metadata).decode()
    assert "mcp_background_job/py.typed" in names
    assert {name.removeprefix("src/") for name in package_files()} <= names
    assert any(name.endswith("/licenses/src/mcp_background_job/cli/recordings/player/LICENSE") for name in names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"mcp_background_job"}


def test_the_sdist_holds_all_that_its_own_tests_need(built: Path) -> None:
    [sdist] = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    listed = subprocess.run(["git", "ls-files"], cwd=TOP, capture_output=True, text=True, timeout=120)
    if listed.returncode != 0:
        pytest.skip("no git here to ask what belongs to the project")
    assert {name for name in listed.stdout.splitlines() if (TOP / name).is_file()} - names == set()
    assert "src/mcp_background_job/py.typed" in names and "tmux.conf" in names


@pytest.mark.slow
def test_an_installed_wheel_runs_jobs_with_its_own_tmux_conf(built: Path, sandbox: Sandbox) -> None:
    venv = sandbox.root / "venv"
    [wheel] = built.glob("*.whl")
    for words in (
        ["uv", "venv", "-q", "--python", sys.executable, str(venv)],
        ["uv", "pip", "install", "-q", "--python", str(venv / "bin/python"), str(wheel)],
    ):
        done = subprocess.run(words, capture_output=True, text=True, timeout=BUILD_TIMEOUT)
        if done.returncode != 0 and "fetch" in done.stderr.lower():
            pytest.skip(f"the dependencies can't be had here: {done.stderr.strip()[-200:]}")
        assert done.returncode == 0, done.stderr
    environment = {name: value for name, value in sandbox.environment.items() if name != "PYTHONPATH"}
    program = str(venv / "bin/mcp-background-job")
    done = subprocess.run(
        [program, "run", "-w", "echo installed; exit 6"], env=environment, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout) == (6, "installed\n"), done.stderr
    shown = subprocess.run([program, "config", "--json"], env=environment, capture_output=True, text=True, timeout=120)
    rows = {row["variable"]: row["value"] for row in json.loads(shown.stdout)["settings"]}
    assert Path(rows["MCP_BG_TMUX_CONF"]).is_relative_to(venv)


@pytest.mark.slow
def test_uvx_from_a_folder_runs_what_is_in_it_now(sandbox: Sandbox) -> None:
    clone = sandbox.root / "clone"
    clone.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "tmux.conf"):
        shutil.copy(TOP / name, clone)
    shutil.copytree(TOP / "src", clone / "src", ignore=shutil.ignore_patterns("__pycache__"))
    marker = clone / "src/mcp_background_job/__init__.py"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    said = []
    for version in (__version__, "99.1"):
        marker.write_text(marker.read_text().replace(__version__, version))
        try:
            done = subprocess.run(
                ["uvx", "--from", str(clone), "mcp-background-job", "--version"],
                env=environment,
                capture_output=True,
                text=True,
                timeout=BUILD_TIMEOUT / 2,
            )
        except FileNotFoundError:
            pytest.skip("uvx is not here")
        if done.returncode != 0 and "fetch" in done.stderr.lower():
            pytest.skip(f"the dependencies can't be had here: {done.stderr.strip()[-200:]}")
        said.append(done.stdout.strip())
    assert said == [f"mcp-background-job {__version__}", "mcp-background-job 99.1"]


def test_without_bytecode_caches_it_starts_and_runs_jobs_and_writes_none(sandbox: Sandbox) -> None:
    empty = sandbox.root / "caches"
    empty.mkdir()
    # With a prefix where there is nothing, no cache beside the sources is read either.
    server = sandbox.silent_server(
        program=[sys.executable, "-B", "-m", "mcp_background_job"],
        PYTHONDONTWRITEBYTECODE="1",
        PYTHONPYCACHEPREFIX=str(empty),
    )
    server.begin("ping", patience=280).result()
    server.open()
    assert run_job(server, "exit 4")["exit_code"] == 4
    assert list(empty.iterdir()) == []


def test_all_that_has_a_version_has_the_same() -> None:
    registry = json.loads((TOP / "server.json").read_text(encoding="utf-8"))
    assert {
        metadata.version("mcp-background-job"),
        registry["version"],
        *(package["version"] for package in registry["packages"]),
        CONFIGURATION["version"],
    } == {__version__}


def test_the_bundle_s_manifest_names_our_tools_and_settings(sandbox: Sandbox) -> None:
    server = sandbox.server()
    named = [tool["name"] for tool in CONFIGURATION["tools"]]
    assert named == sorted(tool["name"] for tool in server.request("tools/list")["tools"])
    fields = {str(field.validation_alias): field for field in BackgroundJobConfig.model_fields.values()}
    for variable, value in CONFIGURATION["server"]["mcp_config"]["env"].items():
        setting = CONFIGURATION["user_config"][value.removeprefix("${user_config.").removesuffix("}")]
        assert fields[variable].default == setting["default"], variable
    assert (TOP / CONFIGURATION["server"]["entry_point"]).is_file()


def test_the_bundle_holds_what_its_command_needs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(TOP / ".mcpb/bundle"), str(tmp_path)], capture_output=True, text=True, timeout=120
    )
    bundle = Path(done.stdout.strip())
    again = subprocess.run(
        [sys.executable, str(TOP / ".mcpb/bundle"), str(tmp_path / "again")],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert Path(again.stdout.strip()).read_bytes() == bundle.read_bytes(), "the same bytes from the same sources"
    assert bundle.name == f"mcp-background-job-{__version__}.mcpb", done.stderr
    with zipfile.ZipFile(bundle) as archive:
        names = set(archive.namelist())
        assert json.loads(archive.read("manifest.json")) == CONFIGURATION
        archive.extractall(tmp_path / "unpacked")
    needed = {"pyproject.toml", "README.md", "LICENSE", "tmux.conf", CONFIGURATION["server"]["entry_point"]}
    assert needed | package_files() <= names
    done = subprocess.run(
        [sys.executable, "-m", "mcp_background_job", "--version"],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "unpacked/src")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout == f"mcp-background-job {__version__}\n"


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
def test_the_player_is_the_one_that_its_command_makes(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(TOP / ".ci/vendor-player"), str(tmp_path)], capture_output=True, text=True, timeout=280
    )
    if "npm" in done.stderr and "CalledProcessError" in done.stderr:
        pytest.skip(f"npm has no network: {done.stderr[-200:]}")
    assert done.returncode == 0, done.stderr
    player = TOP / "src/mcp_background_job/cli/recordings/player"
    assert {path.name: path.read_bytes() for path in player.iterdir()} == {
        path.name: path.read_bytes() for path in tmp_path.iterdir()
    }
