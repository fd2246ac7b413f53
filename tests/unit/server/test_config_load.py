"""Settings come from four places, and mistakes are named."""

import tomllib
from pathlib import Path

import pytest

from server.config import LogFormat, LogLevel, NodeConfig, RtmpConfig
from server.config_load import load, sample
from server.errors import ConfigError


def test_flags_win_over_environment_and_environment_over_file(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text('[gateway.rtmp]\nport = 1\n[log]\nlevel = "debug"\nformat = "json"\n')
    config = load(
        file,
        {"PENSTOCK_GATEWAY_RTMP_PORT": "2", "PENSTOCK_LOG_LEVEL": "error", "HOME": "/root"},
        {"gateway.rtmp.port": "3"},
    )
    assert config.gateway.rtmp.port == 3
    assert config.log.level is LogLevel.ERROR
    assert config.log.format is LogFormat.JSON


def test_a_list_is_written_with_commas_in_flags_and_environment() -> None:
    config = load(flags={"gateway.orchestrators": "http://a:1, https://b:2/"})
    assert config.gateway.orchestrators == ("http://a:1", "https://b:2")


@pytest.mark.parametrize(
    ("env", "flags", "told"),
    [
        ({}, {"gateway.rtmp.prot": "1"}, "--gateway.rtmp.prot; did you mean 'gateway.rtmp.port'"),
        (
            {"PENSTOCK_GATEWAY_HTTP_PROT": "1"},
            {},
            "PENSTOCK_GATEWAY_HTTP_PROT; did you mean 'PENSTOCK_GATEWAY_HTTP_PORT'",
        ),
    ],
)
def test_a_misspelt_setting_is_named_with_its_likely_meaning(
    env: dict[str, str], flags: dict[str, str], told: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, env, flags)
    assert told in caught.value.message


def test_a_misspelt_key_in_a_file_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "penstock.toml"
    file.write_text("[gateway]\nview_max = 3\n")
    with pytest.raises(ConfigError, match=r"penstock\.toml; did you mean 'gateway.viewers_max'"):
        load(file)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ({"gateway.http.port": "high"}, "gateway.http.port in --gateway.http.port: .* not 'high'"),
        ({"gateway.http.port": "70000"}, "less than or equal to 65535, not '70000'"),
        ({"log.format": "xml"}, "'text' or 'json', not 'xml'"),
        ({"gateway.orchestrators": "localhost:8935"}, "not an http:// or https:// address"),
    ],
)
def test_a_bad_value_says_what_would_be_good(flags: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        load(flags=flags)


def test_a_file_that_is_not_toml_is_named(tmp_path: Path) -> None:
    file = tmp_path / "penstock.toml"
    file.write_text("[gateway\n")
    with pytest.raises(ConfigError, match="is not TOML"):
        load(file)
    with pytest.raises(ConfigError, match="cannot read"):
        load(tmp_path / "nowhere.toml")


def test_the_sample_is_valid_and_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "penstock.toml"
    file.write_text(sample(NodeConfig()))
    assert tomllib.loads(file.read_text())["gateway"]["http"]["port"] == 8080
    assert load(file) == NodeConfig()


def test_equal_sections_need_no_restart() -> None:
    assert load().gateway.rtmp == RtmpConfig()
