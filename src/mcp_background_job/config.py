"""Settings from the environment: each checked at start, none falling back silently."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from .errors import InvalidInput
from .system import PORTABLE

PREFIX = "MCP_BG_"
UNITS = {"": 1, "B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}
MIN_TOKEN = 16
# Keys that no program in a job misses as a character, Enter or Tab, by the names that tmux gives them.
NAMED_KEYS = (
    "Up",
    "Down",
    "Left",
    "Right",
    "Home",
    "End",
    "PPage",
    "NPage",
    "IC",
    "DC",
    *(f"F{n}" for n in range(1, 13)),
)
MENU_KEY = re.compile(
    rf"((?:[CMS]-)*)({'|'.join(NAMED_KEYS)})|((?:[CM]-)*M-(?:[CM]-)*)([a-z0-9]|space)|(C-)([a-gklnp-z]|space)",
    re.IGNORECASE,
)
JOB_VARIABLE = "MCP_BG_JOB_ID"  # set in every job; not a setting


def parse_size(value: object) -> object:
    """`10MB` → 10485760; plain bytes, KB, MB, GB, in powers of 1024."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]?B)?", value.strip(), re.IGNORECASE)
    if match is None:
        raise ValueError
    return int(float(match[1]) * UNITS[(match[2] or "").upper()])


def parse_patterns(value: object) -> object:
    """`^npm ,^python ` → two patterns; blanks belong to the pattern.

    A piece without `^` is the rest of a pattern with a comma in it, and would allow more than was meant.
    """
    if isinstance(value, str):
        value = tuple(value.split(","))
    if not isinstance(value, tuple) or not value:
        return value
    if not all(part.startswith("^") and part.strip("^ ") for part in value):
        raise ValueError
    from .regexes.search import check_patterns

    try:
        check_patterns(value)
    except InvalidInput as error:
        raise ValueError from error
    return value


def existing_folder(value: Path) -> Path:
    if not value.is_dir():
        raise ValueError
    return value.absolute()


def existing_file(value: Path) -> Path:
    if not value.is_file():
        raise ValueError
    return value.absolute()


def long_enough(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value()) < MIN_TOKEN:
        raise ValueError
    return value


def not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError
    return value


def default_state_dir() -> Path:
    from platformdirs import user_state_path

    return user_state_path("mcp-background-job", appauthor=False)


def packaged_tmux_conf() -> Path:
    """The tmux.conf in the wheel, or the one at the top of a checkout."""
    inside = Path(__file__).with_name("tmux.conf")
    return inside if inside.exists() else Path(__file__).parents[2] / "tmux.conf"


def menu_keys(value: str) -> str:
    """Names of keys, as tmux writes them.

    Raises ValueError.
    """
    written = {name.lower(): name for name in (*NAMED_KEYS, "Space")}
    keys: list[str] = []
    for name in value.split():
        match = MENU_KEY.fullmatch(name)
        if match is None:
            raise ValueError
        modifiers, key = (part for part in match.groups() if part is not None)
        letters = [letter for letter in "CMS" if f"{letter}-" in modifiers.upper()]
        keys.append("-".join([*letters, written.get(key.lower(), key)]))
    if not keys:
        raise ValueError
    return " ".join(dict.fromkeys(keys))


class ConfigError(Exception):
    """A setting has a value that can't be used; the text is one line for stderr."""


class BackgroundJobConfig(BaseSettings):
    """What a server is told by its environment; the descriptions say what each variable takes."""

    model_config = SettingsConfigDict(frozen=True, populate_by_name=True, extra="forbid")

    max_concurrent_jobs: int = Field(
        10, ge=1, le=1000, validation_alias="MCP_BG_MAX_JOBS", description="a whole number from 1 to 1000"
    )
    max_output_size_bytes: Annotated[int, BeforeValidator(parse_size)] = Field(
        10 << 20,
        ge=1024,
        validation_alias="MCP_BG_MAX_OUTPUT_SIZE",
        description="a size of at least 1024 bytes, such as 500KB, 10MB or 1GB",
    )
    default_job_timeout: float | None = Field(
        None, ge=1, allow_inf_nan=False, validation_alias="MCP_BG_JOB_TIMEOUT", description="a number of seconds from 1"
    )
    cleanup_interval_seconds: float = Field(
        300,
        ge=10,
        allow_inf_nan=False,
        validation_alias="MCP_BG_CLEANUP_INTERVAL",
        description="a number of seconds from 10",
    )
    retention_seconds: float = Field(
        7 * 86400.0,
        ge=10,
        allow_inf_nan=False,
        validation_alias="MCP_BG_RETENTION",
        description="a number of seconds from 10",
    )
    working_directory: Annotated[Path, AfterValidator(existing_folder)] | None = Field(
        None, validation_alias="MCP_BG_WORKING_DIR", description="an existing folder"
    )
    allowed_command_patterns: Annotated[tuple[str, ...], NoDecode, BeforeValidator(parse_patterns)] = Field(
        (),
        validation_alias="MCP_BG_ALLOWED_COMMANDS",
        description=r"regular expressions, each beginning with ^, with commas between them, such as ^npm ,^python ; "
        r"\x2c is a comma inside one",
    )
    session_name: str = Field(
        "mcp-jobs",
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}$",
        validation_alias="MCP_BG_SESSION",
        description="a tmux session name of letters, digits, - and _",
    )
    tmux_socket_name: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$",
        validation_alias="MCP_BG_TMUX_SOCKET",
        description="a tmux socket name (tmux -L) of letters, digits, -, _ and .",
    )
    tmux_conf: Annotated[Path, AfterValidator(existing_file)] = Field(
        default_factory=packaged_tmux_conf, validation_alias="MCP_BG_TMUX_CONF", description="an existing file"
    )
    state_dir: Annotated[Path, AfterValidator(Path.absolute)] = Field(
        default_factory=default_state_dir, validation_alias="MCP_BG_STATE_DIR", description="a folder's path"
    )
    http_token: Annotated[SecretStr, AfterValidator(long_enough)] | None = Field(
        None, validation_alias="MCP_BG_HTTP_TOKEN", description=f"a secret of at least {MIN_TOKEN} characters"
    )
    environment: Literal["inherit", "login"] = Field(
        "inherit",
        validation_alias="MCP_BG_ENVIRONMENT",
        description="inherit (jobs have the server's own) or login (as your login shell's files leave that)",
    )
    on_disconnect: Literal["keep", "kill"] = Field(
        "keep",
        validation_alias="MCP_BG_ON_DISCONNECT",
        description="keep (jobs outlive their server) or kill (they end with it, unless a person holds them)",
    )
    notify: Annotated[str, AfterValidator(not_blank)] | None = Field(
        None,
        validation_alias="MCP_BG_NOTIFY",
        description="a command line for sh, run when a job ends or needs you",
    )
    menu_key: Annotated[str, AfterValidator(menu_keys)] = Field(
        "F12",
        validation_alias="MCP_BG_MENU_KEY",
        description="tmux names of keys, with blanks between: F1 to F12 and other keys without a character, C- or M- "
        "with a letter, such as F12 M-m",
    )


def load_config() -> BackgroundJobConfig:
    """The settings of this process's environment.

    Raises ConfigError with one line that names the variable, its value and what it takes.
    """
    try:
        return BackgroundJobConfig()
    except ValidationError as error:
        raise ConfigError(describe(error)) from None


def describe(error: ValidationError) -> str:
    """The first bad setting of `error` as one line; a secret's value is not shown."""
    variable = str(error.errors()[0]["loc"][0])
    for name, field in BackgroundJobConfig.model_fields.items():
        if variable in (name, field.validation_alias):
            shown = "(hidden)" if name == "http_token" else repr(os.environ.get(variable, ""))
            takes = f"it takes {field.description}; unset it for the default"
            return f"{field.validation_alias}={shown} can't be used: {takes}."
    return f"{variable} can't be used."


def unknown_variables() -> list[str]:
    """Variables of our prefix that no setting reads: most likely a typing error."""
    known = {field.validation_alias for field in BackgroundJobConfig.model_fields.values()}
    ours = (name for name in os.environ if name.startswith(PREFIX))
    return sorted(name for name in ours if name not in known and name not in (JOB_VARIABLE, PORTABLE))
