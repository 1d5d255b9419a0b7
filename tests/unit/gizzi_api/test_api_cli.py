"""The command: its help, and every wrong setting named with what to do about it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from gizzi_api import cli
from gizzi_api.settings import DEFAULT_CONFIG, Settings
from recorded_prometheus import THRESHOLDS

SOUND = f"""
thresholds = {{ {", ".join(f"{name} = {value}" for name, value in THRESHOLDS.items())} }}
validators = [{{number = 1, name = "one"}}]
"""


def said(capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stopped:
        cli.read_settings()
    assert stopped.value.code == 2
    return capsys.readouterr().err


def test_help_says_what_it_is_for_with_an_example_that_works(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["--help"])
    text = capsys.readouterr().out
    assert stopped.value.code == 0
    assert "Serve the state of a network of Substrate validators" in text
    assert str(DEFAULT_CONFIG) in text
    example = text.split("<<END\n", 1)[1].split("END\n", 1)[0]
    path = tmp_path / "example.toml"
    path.write_text(example)
    monkeypatch.setenv("GIZZI_API_CONFIG", str(path))
    assert cli.read_settings().validators[0].name == "validator01"


def test_an_unknown_argument_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["--port", "1"])
    assert stopped.value.code == 2
    assert "unrecognized arguments: --port" in capsys.readouterr().err


def test_a_missing_file_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = tmp_path / "none.toml"
    assert said(capsys).splitlines() == [
        f"gizzi-api: there is no settings file {named}: write it (gizzi-api --help shows one), or name another one in "
        "GIZZI_API_CONFIG"
    ]
    # Named, it is missed also where the environment has everything.
    monkeypatch.setenv("GIZZI_API_THRESHOLDS", json.dumps(THRESHOLDS))
    monkeypatch.setenv("GIZZI_API_VALIDATORS", '[{"number": 1, "name": "one"}]')
    assert str(named) in said(capsys)


def test_without_any_file_it_is_missed_where_something_else_is(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GIZZI_API_CONFIG")
    for module in ("cli", "settings"):
        monkeypatch.setattr(f"gizzi_api.{module}.DEFAULT_CONFIG", tmp_path / "default.toml")
    monkeypatch.setenv("GIZZI_API_VALIDATORS", '[{"number": 1, "name": "one"}]')
    first, second = said(capsys).splitlines()
    assert f"no settings file {tmp_path / 'default.toml'}" in first
    assert second == (
        f"gizzi-api: thresholds: Field required; set it in {tmp_path / 'default.toml'}, or as GIZZI_API_THRESHOLDS"
    )
    monkeypatch.setenv("GIZZI_API_THRESHOLDS", json.dumps(THRESHOLDS))
    assert isinstance(cli.read_settings(), Settings)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "port = 70000",
            "port: Input should be less than or equal to 65535, and it is 70000; set it in FILE, or as GIZZI_API_PORT",
        ),
        (
            'prometheus.preset = "a\\u001b[2Jb"',
            "prometheus.preset: Input should be 'substrate' or 'etrid', and it is 'a\\x1b[2Jb'; set it in FILE, or as "
            "GIZZI_API_PROMETHEUS__PRESET",
        ),
        ("prot = 1", "prot: there is no such setting; there are host, port, log_level, "),
        ("prometheus.ulr = 1", "prometheus.ulr: there is no such setting; there are url, timeout, "),
        ("port =", "the settings file FILE is not TOML: Invalid value (at line 1, column 7)"),
        (
            'query.token_file = "/no/such/file"',
            "query.token_file: cannot read /no/such/file: No such file or directory; write the token into it, or leave",
        ),
        ('query.token_file = "/dev/null"', "query.token_file /dev/null is empty; write the token into it, or leave"),
        ('query.mode = "named"', "query.mode is 'named', and query.metrics names none; set it in FILE"),
    ],
)
def test_a_wrong_setting_is_named_with_its_value_and_what_to_do(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    expected: str,
) -> None:
    path = tmp_path / "api.toml"
    path.write_text(f"{text}\n{SOUND}")
    monkeypatch.setenv("GIZZI_API_CONFIG", str(path))
    assert expected.replace("FILE", str(path)) in said(capsys)


def test_a_place_in_a_list_is_named_and_what_is_known_there(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "api.toml"
    path.write_text(SOUND.replace('"one"', '"one", address = "x"'))
    monkeypatch.setenv("GIZZI_API_CONFIG", str(path))
    assert "validators.0.address: there is no such setting; there are number, name" in said(capsys)


def test_a_password_in_an_address_is_not_said(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "api.toml"
    path.write_text(f'prometheus.url = "ftp://gizzi:secret@x"\n{SOUND}')
    monkeypatch.setenv("GIZZI_API_CONFIG", str(path))
    text = said(capsys)
    assert "prometheus.url: " in text
    assert "secret" not in text


def test_the_environment_and_what_is_no_json_in_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "api.toml"
    path.write_text(SOUND)
    monkeypatch.setenv("GIZZI_API_CONFIG", str(path))
    monkeypatch.setenv("GIZZI_API_VALIDATORS", "one")
    text = said(capsys)
    assert '"validators"' in text
    assert "is JSON" in text


def test_a_variable_that_sets_nothing_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "api.toml"
    path.write_text(SOUND)
    monkeypatch.setenv("GIZZI_API_CONFIG", str(path))
    monkeypatch.setenv("GIZZI_API_PROT", "8081")
    assert "gizzi-api: GIZZI_API_PROT: there is no such setting; there are host, port, " in said(capsys)
    monkeypatch.delenv("GIZZI_API_PROT")
    # The client's table `api`, in the same shell.
    monkeypatch.setenv("GIZZI_API__URL", "http://x")
    assert cli.read_settings().port == 8080
    monkeypatch.setenv("GIZZI_API_PROMETHEUS__ULR", "http://x")
    assert "prometheus.ulr: there is no such setting; there are url, timeout, " in said(capsys)


def test_an_address_that_is_not_this_machines(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "api.toml"
    path.write_text(f'host = "192.0.2.1"\n{SOUND}')
    monkeypatch.setenv("GIZZI_API_CONFIG", str(path))
    with pytest.raises(SystemExit) as stopped:
        cli.main([])
    text = capsys.readouterr().err
    assert stopped.value.code == 1
    assert "cannot listen on 192.0.2.1 port 8080" in text
    assert "GIZZI_API_HOST" in text
