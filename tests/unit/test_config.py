"""Settings: what they take, and the one line that says what they don't."""

from pathlib import Path

import pytest

from mcp_background_job.config import BackgroundJobConfig, ConfigError, load_config, unknown_variables


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("MCP_BG_"):
            monkeypatch.delenv(name)


def test_the_defaults_are_those_of_the_contract() -> None:
    config = load_config()
    assert config.max_concurrent_jobs == 10
    assert config.max_output_size_bytes == 10 << 20
    assert config.default_job_timeout is None
    assert (config.cleanup_interval_seconds, config.retention_seconds) == (300, 7 * 86400)
    assert (config.session_name, config.tmux_socket_name, config.allowed_command_patterns) == ("mcp-jobs", None, ())
    assert (config.environment, config.on_disconnect) == ("inherit", "keep")
    assert config.tmux_conf.name == "tmux.conf" and config.state_dir.is_absolute()


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1024", 1024),
        ("2KB", 2048),
        ("64KB", 64 << 10),
        ("2GB", 2 << 30),
        ("10MB", 10 << 20),
        ("1 gb", 1 << 30),
        ("1.5MB", 3 << 19),
    ],
)
def test_sizes_have_units(monkeypatch: pytest.MonkeyPatch, text: str, size: int) -> None:
    monkeypatch.setenv("MCP_BG_MAX_OUTPUT_SIZE", text)
    assert load_config().max_output_size_bytes == size


def test_patterns_keep_their_blanks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_BG_ALLOWED_COMMANDS", "^npm ,^python ")
    assert load_config().allowed_command_patterns == ("^npm ", "^python ")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MCP_BG_MAX_JOBS", "0"),
        ("MCP_BG_MAX_JOBS", "1001"),
        ("MCP_BG_MAX_JOBS", "many"),
        ("MCP_BG_MAX_JOBS", ""),
        ("MCP_BG_MAX_OUTPUT_SIZE", "1023"),
        ("MCP_BG_MAX_OUTPUT_SIZE", "10XB"),
        ("MCP_BG_MAX_OUTPUT_SIZE", "-1MB"),
        ("MCP_BG_JOB_TIMEOUT", "0"),
        ("MCP_BG_JOB_TIMEOUT", "soon"),
        ("MCP_BG_JOB_TIMEOUT", "0.5"),
        ("MCP_BG_JOB_TIMEOUT", "nan"),
        ("MCP_BG_CLEANUP_INTERVAL", "9"),
        ("MCP_BG_CLEANUP_INTERVAL", "5 minutes"),
        ("MCP_BG_RETENTION", "inf"),
        ("MCP_BG_RETENTION", "-1"),
        ("MCP_BG_RETENTION", "a week"),
        ("MCP_BG_WORKING_DIR", "/no/such/folder"),
        ("MCP_BG_ALLOWED_COMMANDS", "("),
        ("MCP_BG_ALLOWED_COMMANDS", "^npm ,("),
        ("MCP_BG_ALLOWED_COMMANDS", ""),
        ("MCP_BG_ALLOWED_COMMANDS", "^npm ,,^x"),
        ("MCP_BG_SESSION", "a:b"),
        ("MCP_BG_SESSION", "../x"),
        ("MCP_BG_SESSION", "bad.name"),
        ("MCP_BG_SESSION", "a b#{c}"),
        ("MCP_BG_TMUX_SOCKET", "a/b"),
        ("MCP_BG_TMUX_CONF", "/no/such/file"),
        ("MCP_BG_ENVIRONMENT", "Login"),
        ("MCP_BG_ENVIRONMENT", ""),
        ("MCP_BG_ON_DISCONNECT", "end"),
        ("MCP_BG_MENU_KEY", ""),
        ("MCP_BG_MENU_KEY", "m"),
        ("MCP_BG_MENU_KEY", "F12 Enter"),
        ("MCP_BG_MENU_KEY", "F13"),
        ("MCP_BG_MENU_KEY", "C-i"),
        ("MCP_BG_MENU_KEY", "M-;"),
    ],
)
@pytest.mark.promise("server-settings")
def test_a_bad_value_is_named_with_what_it_should_be(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError) as caught:
        load_config()
    text = str(caught.value)
    assert "\n" not in text and variable in text and repr(value) in text and "takes" in text


def test_menu_keys_are_written_as_tmux_writes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_BG_MENU_KEY", " f12  m-c-x s-pageup C-space f12 ".replace("pageup", "PPage"))
    assert load_config().menu_key == "F12 C-M-x S-PPage C-Space"


def test_a_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_BG_HTTP_TOKEN", "tooshort")
    with pytest.raises(ConfigError) as caught:
        load_config()
    assert "tooshort" not in str(caught.value) and "MCP_BG_HTTP_TOKEN" in str(caught.value)


def test_fields_can_be_given_by_name(tmp_path: Path) -> None:
    config = BackgroundJobConfig(max_concurrent_jobs=3, state_dir=tmp_path, allowed_command_patterns=("^x",))
    assert (config.max_concurrent_jobs, config.state_dir) == (3, tmp_path)


def test_a_misspelt_variable_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_BG_MAXJOBS", "3")
    monkeypatch.setenv("MCP_BG_JOB_ID", "abc")  # set in every job
    assert unknown_variables() == ["MCP_BG_MAXJOBS"]
