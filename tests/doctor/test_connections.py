"""Airflow's connections out of the environment."""

import json
from urllib.parse import quote

import pytest

from include.doctor.connections import Connections, ops_db_url, s3_address, sftp_address
from include.errors import BadInputError
from include.storage.s3_client import S3Address
from include.storage.sftp_connection import SftpAddress

EXTRA = {"key_file": "/keys/id", "host_key": "ssh-ed25519 AA+A/="}
ADDRESS = SftpAddress("Far.example", 2222, "dts", "/keys/id", "ssh-ed25519 AA+A/=", "/buffer")


def found(text: str, connection_id: str = "ccat_buffer"):
    connection = Connections({f"AIRFLOW_CONN_{connection_id.upper()}": text}).find(connection_id)
    assert connection is not None
    return connection


@pytest.mark.parametrize(
    "text",
    [
        "sftp://dts@Far.example:2222/?key_file=%2Fkeys%2Fid&host_key=ssh-ed25519+AA%2BA%2F%3D",
        f"sftp://dts@Far.example:2222/?__extra__={quote(json.dumps(EXTRA))}",
        json.dumps(
            {
                "conn_type": "sftp", "host": "Far.example", "port": 2222, "login": "dts",
                "extra": EXTRA,
            }
        ),
        json.dumps(
            {
                "conn_type": "sftp", "host": "Far.example", "port": 2222, "login": "dts",
                "extra": json.dumps(EXTRA),
            }
        ),
    ],
)  # fmt: skip
def test_an_sftp_connection_as_uri_or_json(text):
    assert sftp_address(found(text), connection_id="ccat_buffer", root="/buffer") == ADDRESS


def test_an_s3_connection_with_a_secret_that_needs_quoting():
    connection = found("aws://key:s%2Fe%40cret@/?endpoint_url=http%3A%2F%2Fstore%3A9000")
    assert s3_address(connection, connection_id="a", bucket="b") == S3Address(
        "http://store:9000", "b", "key", "s/e@cret"
    )


def test_a_postgres_connection_becomes_a_url():
    text = "postgres://me:p%40ss@db:5433/ops_db?sslmode=require"
    assert ops_db_url(found(text)) == "postgresql+psycopg://me:p%40ss@db:5433/ops_db?sslmode=require"


def test_what_is_missing_is_named():
    with pytest.raises(BadInputError, match="AIRFLOW_CONN_CCAT_BUFFER is not set"):
        Connections({}).need("ccat_buffer")
    with pytest.raises(BadInputError, match="has no extra host_key: add it to AIRFLOW_CONN_CCAT_BUFFER"):
        sftp_address(found("sftp://dts@far/?key_file=x"), connection_id="ccat_buffer", root="/")


@pytest.mark.parametrize(
    "text", ['{"password": "geheim", "port": "x"}', "{geheim", "geheim", "sftp://a:geheim@h:port/"]
)
def test_what_is_no_connection_is_refused_without_showing_it(text):
    with pytest.raises(BadInputError, match="is no Airflow connection") as caught:
        found(text)
    assert "geheim" not in str(caught.value)


def test_no_password_is_shown():
    assert "geheim" not in repr(found("sftp://dts:geheim@far/"))
